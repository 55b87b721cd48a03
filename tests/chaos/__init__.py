"""A seeded run on a real cluster of its own that breaks everything around Spark while jobs of known outcome flow."""
