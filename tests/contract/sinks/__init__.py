"""The behaviour of every sink, and what only a folder or an object store does."""
