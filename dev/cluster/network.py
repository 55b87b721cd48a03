"""Ports, subnets and bridges that are free, so that clusters on one machine do not meet."""

import ipaddress
import json
import secrets
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.packages import find
from dev.cluster.places import clusters_home, locked
from dev.cluster.settings import Ports, Record, Settings

SLOTS = range(200)
# Below the kernel's range for outgoing connections, so that a part that is down for a while does not lose its port.
_FIRST_PORT = 22000
_PORTS_PER_SLOT = 10


def ports_of(slot: int) -> Ports:
    """The ports that belong to a slot."""
    first = _FIRST_PORT + _PORTS_PER_SLOT * slot
    return Ports(*range(first, first + 8))


def choose_subnet(slot: int, taken: Iterable[str]) -> str:
    """A private /24 for the slot that overlaps none of the networks in `taken`. Raises ClusterError."""
    networks = [ipaddress.IPv4Network(network, strict=False) for network in taken]
    for second in range(200, 256):
        subnet = ipaddress.IPv4Network(f"10.{second}.{slot}.0/24")
        if not any(subnet.overlaps(network) for network in networks):
            return str(subnet)
    raise ClusterError("all of 10.200.0.0 to 10.255.255.255 is routed on this machine already")


def claim(settings: Settings) -> Record:
    """Chooses slot, ports and subnet for a new cluster and writes its record. Raises ClusterError."""
    home = clusters_home()
    with locked(home / ".lock", "another cluster that is being set up"):
        records = [Record.load(path) for path in home.glob("*/cluster.json")]
        taken = {record.slot for record in records if record}
        networks = [network for record in records if record for network in (record.subnet, record.services) if network]
        networks += routes()
        for slot in SLOTS:
            if slot not in taken and _is_free(slot):
                break
        else:
            raise ClusterError(f"no free ports from {_FIRST_PORT} on: stop some clusters")
        subnet = choose_subnet(slot, networks)
        record = Record(
            settings=settings,
            slot=slot,
            ports=ports_of(slot),
            subnet=subnet,
            admin_token=secrets.token_hex(32),
            node_token=secrets.token_hex(32),
            services="" if settings.simulated_nodes else choose_subnet(slot, [*networks, subnet]),
        )
        folder = home / settings.name
        folder.mkdir(mode=0o700)
        record.save(folder / "cluster.json")
        return record


def routes() -> list[str]:
    """The IPv4 networks that this machine has routes to, the default route left out."""
    ip = find("ip")
    if not ip:
        return []
    done = subprocess.run([ip, "-4", "-j", "route"], capture_output=True, text=True, check=False)
    if done.returncode:
        return []
    return [route["dst"] for route in json.loads(done.stdout or "[]") if route.get("dst", "default") != "default"]


def add_address(address: str) -> None:
    """Gives this machine an address of its own that nothing outside of it has a route to. Raises ClusterError."""
    if done := _address("replace", address):
        raise ClusterError(f"the address {address} cannot be added: {done}")


def remove_address(address: str) -> None:
    """Takes the address away, if it is there."""
    _address("delete", address)


def _address(verb: str, address: str) -> str:
    """What `ip` has against it; nothing if it was done."""
    command = [find("ip") or "ip", "address", verb, f"{address}/32", "dev", "lo"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr.strip()


def remove_bridge(name: str) -> None:
    """Removes the bridge, if it is there."""
    if Path("/sys/class/net", name).exists():
        subprocess.run([find("ip") or "ip", "link", "delete", name], capture_output=True, check=False)


def _is_free(slot: int) -> bool:
    first = _FIRST_PORT + _PORTS_PER_SLOT * slot
    if Path(f"/sys/class/net/sparktest{slot}").exists():
        return False
    return all(_port_is_free(port) for port in range(first, first + _PORTS_PER_SLOT))


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
