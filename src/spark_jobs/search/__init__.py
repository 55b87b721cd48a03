"""Search over stored logs: what to look for (:mod:`~spark_jobs.search.query`), and the work of finding it."""
