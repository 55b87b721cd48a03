"""A server on the real cluster whose every connection to the API server goes through a relay of the test's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving
from tests.fakes.relay import Relay, relay_to, server_of, through


@contextmanager
def behind_relay(home: Path, where: str, *flags: str) -> Iterator[tuple[Server, Relay]]:
    """A server and the relay, for the time of a block; the server must not have logged an error."""
    with relay(home) as (between, kubeconfig), serving(home, *flags_for(where, kubeconfig, *flags)) as server:
        yield server, between


@contextmanager
def relay(home: Path) -> Iterator[tuple[Relay, Path]]:
    """A relay to the test cluster's API server, and a kubeconfig in ``home`` that names it."""
    config = json.loads(kube.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    with relay_to(*server_of(config)) as between:
        path = home / "kubeconfig"
        path.touch(0o600)
        path.write_text(json.dumps(through(between, config)), encoding="utf-8")
        yield between, path


def flags_for(where: str, kubeconfig: Path, *flags: str) -> tuple[str, ...]:
    """The flags of a server that takes this kubeconfig: the last one of a flag counts."""
    return on_kubernetes(where, *flags, "--kubeconfig", str(kubeconfig))
