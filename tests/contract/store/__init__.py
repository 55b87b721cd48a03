"""The behaviour of every store, and what only one on disk does."""
