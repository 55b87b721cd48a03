"""TLS over gRPC: the certificate of the moment, and callers who speak otherwise than the server."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from dev.cluster import certificates
from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.api.rpc.certificates import Certificates
from spark_jobs.api.rpc.server import RpcServer, RpcSettings
from spark_jobs.app.core import utc_now
from spark_jobs.auth import Access
from spark_jobs.domain.errors import SettingError
from tests.api.rpc import Rpc, calling
from tests.engine.bench import Bench

pytestmark = pytest.mark.needs("openssl")


class Files:
    """A certificate and its key that a server reads, and others to put in their place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "tls.crt"
        self.key = folder / "tls.key"

    def make(self, name: str) -> Path:
        """A new authority with a certificate; its folder."""
        made = self.folder / name
        certificates.make(made, ["127.0.0.1"])
        return made

    def put(self, made: Path, *, key: bool = True) -> None:
        """Replace the files as a rotation does: by a rename."""
        for source, target in [("apiserver.crt", self.certificate), *([("apiserver.key", self.key)] if key else [])]:
            new = target.with_suffix(".new")
            shutil.copy(made / source, new)
            new.chmod(0o600)
            new.replace(target)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    files = Files(tmp_path)
    files.put(files.make("one"))
    return files


@asynccontextmanager
async def tls_server(core: Bench, files: Files) -> AsyncIterator[int]:
    server = RpcServer(Access(), RpcSettings(version="1", clock=utc_now))
    port = server.bind("127.0.0.1:0", Certificates(files.certificate, files.key).credentials())
    await server.start(core.service, core.core.metrics)
    try:
        yield port
    finally:
        await server.drain(0)


def _shown(port: int) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port))) as connection:
        return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")


async def shown(port: int) -> str:
    """The certificate that a new connection sees."""
    return (await asyncio.to_thread(_shown, port)).strip()


async def slots(port: int, made: Path) -> int:
    """What a caller who trusts this authority gets."""
    credentials = grpc.ssl_channel_credentials((made / "ca.crt").read_bytes())
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials, options) as channel:
        return int((await Rpc(channel, port).call("GetQueue", pb.GetQueueRequest())).slots)


async def test_a_new_certificate_is_shown_without_a_restart(core: Bench, files: Files) -> None:
    async with tls_server(core, files) as port:
        assert await shown(port) == files.certificate.read_text().strip()
        two = files.make("two")
        files.put(two)
        assert await shown(port) == (two / "apiserver.crt").read_text().strip()
        assert await slots(port, two) == 2


async def test_half_a_rotation_keeps_the_last_good_one(
    core: Bench, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async with tls_server(core, files) as port:
        old, two = await shown(port), files.make("two")
        files.put(two, key=False)
        assert await shown(port) == old
        assert "the last one stays" in caplog.text
        files.key.unlink()
        assert await shown(port) == old
        files.put(two)
        assert await shown(port) == (two / "apiserver.crt").read_text().strip()
    assert "PRIVATE KEY" not in caplog.text


async def test_who_speaks_otherwise_does_no_harm(
    core: Bench, files: Files, rpc: Rpc, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with tls_server(core, files) as port:
        async with calling(port) as plain:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await plain.call("GetQueue", pb.GetQueueRequest())
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await slots(rpc.port, files.folder / "one")
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await slots(port, files.folder / "one") == 2
        assert (await rpc.call("GetQueue", pb.GetQueueRequest())).slots == 2
    assert caplog.records == []
    assert "Traceback" not in capfd.readouterr().err


def refused(certificate: Path, key: Path) -> SettingError:
    with pytest.raises(SettingError) as raised:
        Certificates(certificate, key)
    return raised.value


def test_what_can_not_be_used_is_refused_at_the_start(files: Files, tmp_path: Path) -> None:
    missing = refused(tmp_path / "none.pem", files.key)
    assert (missing.setting, str(tmp_path / "none.pem") in missing.message) == ("grpc_tls_cert", True)
    assert refused(files.certificate, tmp_path / "none.pem").setting == "grpc_tls_key"
    other = files.make("two") / "apiserver.key"
    assert "no certificate and its key" in refused(files.certificate, other).message
    assert "no certificate and its key" in refused(files.key, files.key).message


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620])
def test_a_key_that_others_can_read_is_refused(files: Files, mode: int) -> None:
    files.key.chmod(mode)
    told = refused(files.certificate, files.key)
    assert told.setting == "grpc_tls_key"
    assert f"chmod 600 {files.key}" in told.message


def test_a_key_with_a_password_is_refused_without_asking_for_it(files: Files) -> None:
    locked = files.folder / "locked.key"
    words = ["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", str(files.key), "-out", str(locked)]
    subprocess.run(words, check=True, capture_output=True)
    locked.chmod(0o600)
    assert "password" in refused(files.certificate, locked).message
