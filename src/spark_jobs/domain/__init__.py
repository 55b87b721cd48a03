"""What Spark is about: specs, jobs, states, events, errors. Standard library and msgspec only, no I/O and no clock."""
