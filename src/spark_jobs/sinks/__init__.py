"""Where whole logs go to be kept: a folder, or an object store."""
