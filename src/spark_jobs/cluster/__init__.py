"""Where attempts run. :mod:`~spark_jobs.cluster.base` is the contract; Kubernetes, this machine and a fake keep it."""
