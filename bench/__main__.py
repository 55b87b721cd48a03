"""`make bench`: runs the benchmarks on a real cluster, its own or the one that SPARK_TEST_KUBECONFIG names."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext

from bench import capture, logs, sink, throughput
from dev import processes
from dev.test import cluster

BENCHES = {
    "throughput": throughput.run,
    "kept": capture.kept,
    "capture": capture.rates,
    "logs": logs.run,
    "sink": sink.run,
}
WITHOUT_CLUSTER = {"logs", "sink"}


def main(wanted: list[str]) -> int:
    """Bring up a cluster if none is named, and print the table of each benchmark that is named, or of all."""
    if unknown := set(wanted) - set(BENCHES):
        print(f"bench: {', '.join(sorted(unknown))}: there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    processes.exit_on_signals()
    names = wanted or list(BENCHES)
    alone: AbstractContextManager[dict[str, str]] = nullcontext({})
    with alone if set(names) <= WITHOUT_CLUSTER else cluster() as found:
        os.environ.update(found)
        if "SPARK_TEST_KUBECONFIG" not in os.environ and not set(names) <= WITHOUT_CLUSTER:
            print(f"bench: {found.get('SPARK_TEST_NO_CLUSTER', 'no cluster')}", file=sys.stderr)
            return 3
        for name in names:
            print(BENCHES[name](), end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
