"""Makers of the generated pages: each function reads what the code says and returns the whole text of one file."""
