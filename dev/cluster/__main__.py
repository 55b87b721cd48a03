"""The command line: `python3 -m dev.cluster COMMAND`. Results go to stdout, everything else to stderr."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO

from dev.cluster import build
from dev.cluster.cluster import Cluster
from dev.cluster.errors import ClusterError, MachineNotFit
from dev.cluster.places import say
from dev.cluster.probe import ELSEWHERE, probe
from dev.cluster.settings import Settings

_NOT_FIT = 3


def main(arguments: Sequence[str]) -> int:
    """Runs one command. Returns the exit code: 0 done, 1 failed, 2 wrong usage, 3 this machine cannot run it."""
    if arguments[:1] == ["kubectl"]:
        return _kubectl(arguments[1:])
    wanted = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        return _run(wanted)
    except MachineNotFit as failure:
        return report_missing(failure.missing, sys.stderr)
    except ClusterError as failure:
        say(str(failure))
        return 1


def _leave(number: int, frame: FrameType | None) -> None:
    """Leaves by an exception, so that a half-started cluster is stopped."""
    del frame
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m dev.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--name", default="default", help="which cluster (default: default)")
        return added

    _up_flags(command("up", "build what is missing, start the cluster, print the kubeconfig's path"))
    command("down", "stop the cluster and remove all that is left of it")
    command("status", "show the parts and their process ids")
    command("kubectl", "run kubectl against the cluster")
    for verb in ("start", "stop", "restart", "kill"):
        command(verb, f"{verb} one part").add_argument("part", help="kube-apiserver, kubelet, ... (see status)")
    image = command("image", "bring an image to the node")
    image.add_argument("image", metavar="NAME:TAG")
    source = image.add_mutually_exclusive_group(required=True)
    source.add_argument("--from-dir", type=Path, metavar="DIR", help="its whole content")
    source.add_argument("--same-as", choices=["busybox"], help="an image that is there")
    for name, text in (("build", "only build what is missing"), ("probe", "say what this machine lacks")):
        commands.add_parser(name, help=text, description=text)
    return parser


def _up_flags(up: argparse.ArgumentParser) -> None:
    up.add_argument("--simulated-nodes", type=int, default=0, metavar="N", help="no containers; simulate N nodes")
    up.add_argument("--log-max-size", default="10Mi", help="of a container's log file, then it is rotated")
    up.add_argument("--log-max-files", type=int, default=5, help="how many of them are kept")
    up.add_argument("--log-monitor-interval", default="10s", help="how often the kubelet looks at their sizes")
    up.add_argument("--controller-manager-flag", action="append", default=[], metavar="=--FLAG=VALUE")
    up.add_argument("--kubelet-setting", action="append", default=[], metavar="KEY=VALUE")


def _run(wanted: argparse.Namespace) -> int:
    if wanted.command == "probe":
        return report_missing(probe(), sys.stdout)
    if wanted.command == "build":
        build.build((build.KUBERNETES, build.CONTAINERD, build.KWOK))
        return 0
    if wanted.command == "up":
        print(Cluster(_settings(wanted)).up())
        return 0
    cluster = Cluster(Settings(name=wanted.name))
    if wanted.command == "down":
        cluster.down()
    elif wanted.command == "status":
        return _status(cluster)
    elif wanted.command == "image":
        cluster.add_image(wanted.image, wanted.from_dir)
    else:
        operations = {"start": cluster.start, "stop": cluster.stop, "restart": cluster.restart, "kill": cluster.kill}
        operations[wanted.command](wanted.part)
    return 0


def _settings(wanted: argparse.Namespace) -> Settings:
    return Settings(
        name=wanted.name,
        simulated_nodes=wanted.simulated_nodes,
        log_max_size=wanted.log_max_size,
        log_max_files=wanted.log_max_files,
        log_monitor_interval=wanted.log_monitor_interval,
        controller_manager_flags=tuple(wanted.controller_manager_flag),
        kubelet_settings=tuple(wanted.kubelet_setting),
    )


def _status(cluster: Cluster) -> int:
    status = cluster.status()
    if not status:
        print(f"{cluster.settings.name} is not up")
        return 1
    print(f"kubeconfig  {cluster.kubeconfig}")
    for part, pid in status.items():
        print(f"{part}  {f'runs as {pid}' if pid else 'does not run'}")
    return 0 if all(status.values()) else 1


def _kubectl(arguments: Sequence[str]) -> int:
    """Becomes kubectl. Only a --name that comes first, and a -- behind it, are ours; all else is kubectl's."""
    name = "default"
    if arguments[:1] == ["--name"] and len(arguments) > 1:
        name, arguments = arguments[1], arguments[2:]
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    cluster = Cluster(Settings(name=name))
    command = cluster.kubectl_command(arguments)
    if cluster.kubeconfig.exists() and Path(command[0]).exists():
        os.execv(command[0], command)  # noqa: S606 - the terminal and the signals become kubectl's own
    say(f"{name} is not up")
    return 1


def report_missing(missing: Sequence[str], to: TextIO) -> int:
    """Prints what is missing, and what to do without it. Returns the exit code."""
    if not missing:
        return 0
    for reason in missing:
        print(reason, file=to)
    print(ELSEWHERE, file=to)
    return _NOT_FIT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
