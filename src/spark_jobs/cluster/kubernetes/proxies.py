"""Which proxy to take to the API server, by the rules of `kubectl`."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from spark_jobs.domain.errors import CredentialsError


def proxy_for(server: str, named: str | None, environ: Mapping[str, str] | None = None) -> str | None:
    """The proxy's URL: the kubeconfig's ``named`` one, else the environment's; never one for loopback.

    Raises:
        CredentialsError: the kubeconfig names a kind of proxy that is not supported.
    """
    environ = os.environ if environ is None else environ
    if named is not None:
        if urlsplit(named).scheme not in ("http", "https"):
            raise CredentialsError(
                f"proxy-url in the kubeconfig has to be an http or https proxy, not {urlsplit(named).scheme}"
            )
        return named
    parts = urlsplit(server)
    name = f"{parts.scheme}_proxy"
    proxy = environ.get(name.upper()) or environ.get(name)
    host = parts.hostname or ""
    if not proxy or _is_exempt(host, environ.get("NO_PROXY") or environ.get("no_proxy") or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_exempt(host: str, exceptions: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(host, address, entry.strip().lower()) for entry in exceptions.split(",") if entry.strip())


def _matches(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, entry: str) -> bool:
    if entry == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name = entry.removeprefix("*").removeprefix(".").partition(":")[0]
    return host == name or host.endswith(f".{name}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
