"""Images without a registry: archives made here and handed to containerd."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import ClusterError

_ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"


@dataclass(frozen=True)
class Start:
    """How containers of an image start. `environment` holds `NAME=value`; an empty user is root."""

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Sequence[str] = ()
    user: str = ""


SHELL = Start(command=("sh",))
"""A shell, as root."""


def full_name(name: str) -> str:
    """The image's name as the kubelet asks for it: `busybox:1` is `docker.io/library/busybox:1`. Raises ClusterError."""
    path, colon, tag = name.rpartition(":")
    if not colon or not path or "/" in tag:
        raise ClusterError(f"{name!r} has no tag: with :latest or none, Kubernetes would try to pull it anew each time")
    first, slash, _ = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def busybox_layer(busybox: Path) -> bytes:
    """A layer with busybox and a link for each of its applets. Raises ClusterError."""
    done = subprocess.run([str(busybox), "--list-full"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{busybox} does not list its applets: {done.stderr.strip()}")

    def fill(layer: tarfile.TarFile) -> None:
        for folder in ("bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "root", "home", "var", "proc", "sys", "dev"):
            _add(layer, folder, tarfile.DIRTYPE, 0o755)
        _add(layer, "tmp", tarfile.DIRTYPE, 0o1777)
        _add(layer, "bin/busybox", tarfile.REGTYPE, 0o755, busybox.read_bytes())
        _add(layer, "etc/passwd", tarfile.REGTYPE, 0o644, _PASSWD)
        _add(layer, "etc/group", tarfile.REGTYPE, 0o644, _GROUP)
        for applet in done.stdout.split():
            if applet.startswith(("bin/", "sbin/", "usr/bin/", "usr/sbin/")) and applet != "bin/busybox":
                _add(layer, applet, tarfile.SYMTYPE, 0o777, target="/bin/busybox")

    return _tar(fill)


def folder_layer(folder: Path) -> bytes:
    """A layer with all that is in the folder, owned by root. Raises ClusterError."""
    if not folder.is_dir():
        raise ClusterError(f"{folder} is not a folder")

    def fill(layer: tarfile.TarFile) -> None:
        for path in sorted(folder.iterdir()):
            layer.add(path, arcname=path.name, filter=_as_root)

    return _tar(fill)


def archive(name: str, layer: bytes, start: Start = SHELL) -> bytes:
    """An image of one layer, in the format of `docker save`."""
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": _architecture(),
            "os": "linux",
            "config": {
                "Env": [*_ENVIRONMENT, *start.environment],
                "Entrypoint": list(start.entrypoint),
                "Cmd": list(start.command),
                "User": start.user,
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [full_name(name)], "Layers": [f"{digest}/layer.tar"]}]

    def fill(image: tarfile.TarFile) -> None:
        _add(image, config_name, tarfile.REGTYPE, 0o644, config)
        _add(image, f"{digest}/layer.tar", tarfile.REGTYPE, 0o644, layer)
        _add(image, "manifest.json", tarfile.REGTYPE, 0o644, json.dumps(manifest).encode())

    return _tar(fill)


def import_archive(ctr: Path, socket: Path, image: bytes) -> None:
    """Hands the archive to containerd, where the kubelet finds it. Raises ClusterError."""
    command = [str(ctr), "--address", str(socket), "--namespace", "k8s.io", "images", "import", "-"]
    done = subprocess.run(command, input=image, capture_output=True, check=False)
    if done.returncode:
        raise ClusterError(f"containerd did not take the image: {done.stderr.decode(errors='replace').strip()}")


def _tar(fill: Callable[[tarfile.TarFile], None]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        fill(tar)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, content: bytes = b"", target: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, target, len(content)
    tar.addfile(entry, io.BytesIO(content))


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
