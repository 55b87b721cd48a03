"""A scripted cluster in memory, for tests of programs that use Spark and for Spark's own.

By default every container starts at once, prints nothing and exits with 0. A :class:`Script` for each attempt says
what else happens, and methods of :class:`FakeCluster` make accidents at a chosen moment. Time is the event loop's
alone, so a loop with virtual time runs hours of it in an instant.
"""

from spark_jobs.cluster.fake.clock import LoopClock
from spark_jobs.cluster.fake.cluster import FakeCluster
from spark_jobs.cluster.fake.script import Accident, LogFault, LogTrouble, Script

__all__ = ["Accident", "FakeCluster", "LogFault", "LogTrouble", "LoopClock", "Script"]
