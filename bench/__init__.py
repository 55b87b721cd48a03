"""Benchmarks: each measures Spark beside something else in the same run, and prints one table of ratios."""
