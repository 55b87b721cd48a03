"""Settings: flag over environment over file over default. One table, :class:`Settings`, makes all of them."""

from spark_jobs.config.load import load
from spark_jobs.config.reference import reference
from spark_jobs.config.table import TABLE, Setting, Settings, flags_of

__all__ = ["TABLE", "Setting", "Settings", "flags_of", "load", "reference"]
