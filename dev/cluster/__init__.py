"""A real one-node Kubernetes for tests, or one with simulated nodes for load. See README.md beside this file."""

from dev.cluster.cluster import Cluster
from dev.cluster.errors import ClusterError, MachineNotFit
from dev.cluster.probe import probe
from dev.cluster.settings import Settings

__all__ = ["Cluster", "ClusterError", "MachineNotFit", "Settings", "probe"]
