"""Development commands behind the Makefile's targets; none of it is part of the package."""
