"""The durable memory: jobs, attempts, events, logs. :mod:`~spark_jobs.store.base` is the contract."""
