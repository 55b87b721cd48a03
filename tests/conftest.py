"""Set-up shared by all tests."""
