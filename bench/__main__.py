"""`make bench`: runs the benchmarks on a real cluster, its own or the one that SPARK_TEST_KUBECONFIG names."""

import os
import sys

from bench import throughput
from dev import processes
from dev.test import cluster


def main() -> int:
    """Bring up a cluster if none is named, and print each benchmark's table."""
    processes.exit_on_signals()
    with cluster() as found:
        os.environ.update(found)
        if "SPARK_TEST_KUBECONFIG" not in os.environ:
            print(f"bench: {found.get('SPARK_TEST_NO_CLUSTER', 'no cluster')}", file=sys.stderr)
            return 3
        print(throughput.run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
