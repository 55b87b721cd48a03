"""A connection to the API server that could not be made takes no other one with it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvloop

from spark_jobs.cluster.kubernetes import KubernetesCluster, KubernetesConfig
from spark_jobs.domain.errors import ClusterUnavailable

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def _reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


async def _fail_to_connect(folder: Path) -> list[str]:
    """Ask a server that resets every connection, and open files meanwhile, as the store does; those that got closed."""
    async with await asyncio.start_server(_reset, "127.0.0.1", 0) as server:
        address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        kubeconfig = folder / "kubeconfig"
        cluster = {"server": address, "insecure-skip-tls-verify": True}
        content = {
            "clusters": [{"name": "a", "cluster": cluster}],
            "users": [{"name": "a", "user": {"token": "t"}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "current-context": "a",
        }
        kubeconfig.write_text(json.dumps(content), encoding="utf-8")
        kubernetes = KubernetesCluster(KubernetesConfig(kubeconfig=str(kubeconfig)), clock=lambda: datetime.now(UTC))
        files = []
        for _ in range(5):
            with pytest.raises(ClusterUnavailable):
                await kubernetes.server_version()
            files.append(os.open(kubeconfig, os.O_RDONLY))
            gc.collect()
        await kubernetes.stop()
        gc.collect()
        return [str(error) for file in files if (error := _close(file)) is not None]


def _close(descriptor: int) -> OSError | None:
    try:
        os.close(descriptor)
    except OSError as error:
        return error
    return None


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS.keys())
def test_no_file_or_socket_of_others_is_closed(loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(_fail_to_connect(tmp_path)) == []
