"""For tests of programs that use Spark: a cluster in memory, and scripts that say what its containers do.

``Runner(cluster=FakeCluster(script))`` runs no container and needs no Kubernetes; everything else is the real thing.
"""

from spark_jobs.cluster.base import CreateRefused, Refusal, Waiting
from spark_jobs.cluster.fake import Accident, FakeCluster, LogFault, LogTrouble, LoopClock, Script

__all__ = [
    "Accident",
    "CreateRefused",
    "FakeCluster",
    "LogFault",
    "LogTrouble",
    "LoopClock",
    "Refusal",
    "Script",
    "Waiting",
]
