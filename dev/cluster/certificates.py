"""Keys and certificates of one cluster, made with openssl."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.packages import find

_DAYS = "3650"


def make(folder: Path, addresses: Sequence[str]) -> None:
    """Makes the authority, the API server's certificate for these addresses, the kubelet client's, and the service
    accounts' key. Raises ClusterError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _new_key(folder / "ca.key")
    _openssl(
        "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=spark-test", "-days", _DAYS, "-out", "ca.crt", at=folder
    )
    names = ",".join(["DNS:localhost", *(f"IP:{address}" for address in addresses)])
    _signed(folder, "apiserver", "/CN=kube-apiserver", f"subjectAltName={names}")
    _signed(
        folder, "kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client", "extendedKeyUsage=clientAuth"
    )
    _new_key(folder / "service-accounts.key")


def _signed(folder: Path, name: str, subject: str, extension: str) -> None:
    _new_key(folder / f"{name}.key")
    (folder / f"{name}.ext").write_text(extension + "\n", encoding="utf-8")
    _openssl("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr", at=folder)
    authority = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
    request = ("-in", f"{name}.csr", "-extfile", f"{name}.ext", "-days", _DAYS)
    _openssl("x509", "-req", *request, *authority, "-out", f"{name}.crt", at=folder)


def _new_key(path: Path) -> None:
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path.name, at=path.parent)
    path.chmod(0o600)


def _openssl(*arguments: str, at: Path) -> None:
    command = [find("openssl") or "openssl", *arguments]
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"`openssl {' '.join(arguments)}` failed: {done.stderr.strip()}")
