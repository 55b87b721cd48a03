"""`make chaos`: `python -m tests.chaos [--seed N] [--seconds 120] [--jobs 100]`. Exit code 1 if anything was violated."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from dev import processes
from dev.cluster import MachineNotFit
from tests.cases.own_cluster import own_cluster
from tests.chaos.checks import table, violations
from tests.chaos.run import Run, Wish

_NOT_FIT = 3


def main(arguments: list[str]) -> int:
    """One run, its table and its violations. Exit code 3 where no cluster can be made."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="what to repeat (default: a new one, printed)")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long things are broken")
    parser.add_argument("--jobs", type=int, default=100, help="how many jobs flow meanwhile")
    parser.add_argument("--slots", type=int, default=10, help="how many run at a time")
    parser.add_argument(
        "--home", type=Path, default=None, help="a new folder for the server's data and log, to be kept"
    )
    wanted = parser.parse_args(arguments)
    if wanted.home is not None and wanted.home.exists():
        parser.error(f"{wanted.home} is there already: its jobs would be taken for this run's")
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    wish = Wish(seed, wanted.seconds, wanted.jobs, wanted.slots)
    processes.exit_on_signals()
    print(f"chaos: seed {seed}, {wish.jobs} jobs, {wish.slots} at a time, {wish.seconds:g} s", flush=True)
    try:
        with own_cluster("chaos") as cluster, tempfile.TemporaryDirectory(prefix="spark-chaos-") as made:
            home = wanted.home or Path(made)
            home.mkdir(parents=True, exist_ok=wanted.home is None)
            seen, faults = asyncio.run(Run(wish, cluster, home).run())
    except MachineNotFit as error:
        print(f"chaos: {error}", file=sys.stderr)
        return _NOT_FIT
    found = violations(seen)
    print(table(seen, found, faults))
    for violation in found:
        print(f"VIOLATION {violation.rule}: {violation.text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
