"""The pure parts of `dev.cluster`: what it chooses and what it writes, without root and without a cluster."""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dev.cluster import ClusterError, Settings, cgroups, configs, images, network, parts, relay, simulated
from dev.cluster.__main__ import report_missing
from dev.cluster.places import Folder, clusters_home
from dev.cluster.processes import Processes, start_time
from dev.cluster.settings import Record

ROOT = Path(__file__).parents[2]


def record(slot: int = 3, **settings: Any) -> Record:
    """What is written down about a cluster; only the real ones have a network of services."""
    services = "" if settings.get("simulated_nodes") else f"10.201.{slot}.0/24"
    return Record(
        Settings(**settings), slot, network.ports_of(slot), f"10.200.{slot}.0/24", "admin-token", "node-token", services
    )


def command(part: str, of: Record) -> list[str]:
    programs = parts.Programs(Path("/k"), Path("/c"), Path("/ctr"), Path("/kwok"))
    return parts.command(part, of, Folder(Path("/run/x")), programs)


def test_no_port_belongs_to_two_clusters() -> None:
    ports = [port for slot in network.SLOTS for port in vars(network.ports_of(slot)).values()]
    assert len(ports) == len(set(ports))
    assert all(1024 < port < 32768 for port in ports), "the kernel hands out the ports from 32768 on"


def test_a_subnet_overlaps_no_route_of_the_machine() -> None:
    assert network.choose_subnet(7, []) == "10.200.7.0/24"
    assert network.choose_subnet(7, ["10.200.0.0/13", "192.168.0.0/16"]) == "10.208.7.0/24"


def test_a_machine_that_routes_everything_is_told_so() -> None:
    with pytest.raises(ClusterError, match="routed"):
        network.choose_subnet(7, ["10.0.0.0/8"])


def test_two_clusters_share_nothing() -> None:
    one, two = record(1, name="one"), record(2, name="two")
    assert one.bridge != two.bridge
    assert one.cgroup != two.cgroup
    assert one.api_address != two.api_address
    assert not set(vars(one.ports).values()) & set(vars(two.ports).values())
    assert len(record(199, name="a" * 20).bridge) <= 15, "the kernel's limit for an interface"


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = record(name="a", controller_manager_flags=("--x=1",), kubelet_settings=("maxPods=5",))
    path = tmp_path / "cluster.json"
    written.save(path)
    assert Record.load(path) == written
    assert path.stat().st_mode & 0o077 == 0, "it holds a token"


@pytest.mark.parametrize("text", ["", "{}", '{"settings": 1}', "[]"])
def test_a_damaged_record_is_no_record(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(text)
    assert Record.load(path) is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"name": "Über"}, "cluster name"),
        ({"name": "a" * 21}, "cluster name"),
        ({"name": "../x"}, "cluster name"),
        ({"simulated_nodes": -1}, "simulated nodes"),
        ({"log_max_files": 1}, "log files"),
        ({"controller_manager_flags": ("x=1",)}, "--name=value"),
        ({"kubelet_settings": ("maxPods",)}, "key=value"),
    ],
)
def test_settings_that_make_no_cluster_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ClusterError, match=says):
        Settings(**settings).check()


def test_the_kubelet_gets_log_rotation_and_every_setting_as_its_own_type() -> None:
    wishes = record(
        log_max_size="1Mi",
        log_max_files=2,
        log_monitor_interval="3s",
        kubelet_settings=("maxPods=20", "podPidsLimit=9"),
    )
    config = json.loads(configs.kubelet(wishes, Folder(Path("/run/x"))))
    assert (config["containerLogMaxSize"], config["containerLogMaxFiles"]) == ("1Mi", 2)
    assert config["containerLogMonitorInterval"] == "3s"
    assert (config["maxPods"], config["podPidsLimit"]) == (20, 9)
    assert config["cgroupRoot"] == f"/{wishes.cgroup}"
    assert config["address"] == "127.0.0.1"


def test_containerd_keeps_everything_below_the_clusters_folder() -> None:
    config = tomllib.loads(configs.containerd(Folder(Path("/run/x"))))
    runtime = config["plugins"]["io.containerd.cri.v1.runtime"]
    places = [config["root"], config["state"], config["grpc"]["address"], runtime["cni"]["conf_dir"]]
    places.append(runtime["containerd"]["runtimes"]["runc"]["options"]["Root"])
    assert [place for place in places if not place.startswith("/run/x/")] == []


def test_the_pods_network_is_the_clusters_own_and_leads_nowhere() -> None:
    of = record(5)
    config = json.loads(configs.cni(of, Folder(Path("/run/x"))))
    bridge = config["plugins"][0]
    assert (config["name"], bridge["bridge"]) == (of.bridge, of.bridge)
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.200.5.0/24"}]]
    assert "ipMasq" not in bridge


def test_pods_have_a_way_to_the_api_server_at_its_service_address() -> None:
    of = record(5)
    assert of.api_address == "10.201.5.1"
    assert "--service-cluster-ip-range=10.201.5.0/24" in command("kube-apiserver", of)
    assert command("relay", of)[-3:] == ["10.201.5.1", "443", str(of.ports.apiserver)]
    bridge = json.loads(configs.cni(of, Folder(Path("/run/x"))))["plugins"][0]
    assert bridge["ipam"]["routes"] == [{"dst": "10.201.5.0/24"}]
    assert "relay" not in record(simulated_nodes=1).parts


async def test_the_relay_hands_both_directions_on_to_their_end() -> None:
    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    target = await asyncio.start_server(upper, "127.0.0.1", 0)
    through = await relay.listen("127.0.0.1", 0, target.sockets[0].getsockname()[1])
    async with target, through:
        reader, writer = await asyncio.open_connection("127.0.0.1", through.sockets[0].getsockname()[1])
        writer.write(b"a" * 200_000)
        writer.write_eof()
        assert await reader.read() == b"A" * 200_000
        writer.close()


async def test_while_the_api_server_is_down_the_relay_closes_what_comes() -> None:
    async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0) as gone:
        target_port = gone.sockets[0].getsockname()[1]
    async with await relay.listen("127.0.0.1", 0, target_port) as through:
        reader, writer = await asyncio.open_connection("127.0.0.1", through.sockets[0].getsockname()[1])
        assert await reader.read() == b""
        writer.close()


def test_flags_for_the_controller_manager_come_last_and_so_win() -> None:
    of = record(controller_manager_flags=("--kube-api-qps=7", "--terminated-pod-gc-threshold=1"))
    assert command("kube-controller-manager", of)[-2:] == list(of.settings.controller_manager_flags)


@pytest.mark.parametrize("part", record().parts)
def test_no_part_listens_beyond_loopback(part: str) -> None:
    listens = ("--bind-address=", "--listen-", "--server-address=", "--address=")
    addresses = [argument for argument in command(part, record()) if argument.startswith(listens)]
    assert [address for address in addresses if "127.0.0.1" not in address] == []
    assert not any("0.0.0.0" in argument for argument in command(part, record()))


def test_simulated_nodes_take_the_place_of_the_real_one() -> None:
    names = record(simulated_nodes=2).parts
    assert "kwok" in names
    assert not {"kubelet", "containerd"} & set(names)
    assert "--manage-all-nodes=false" in command("kwok", record(simulated_nodes=2))


def test_kwok_is_told_each_stage_and_where_the_log_is() -> None:
    documents = [json.loads(text) for text in simulated.config("/run/x/log").split("---\n")]
    stages = {document["metadata"]["name"] for document in documents if document["kind"] == "Stage"}
    assert stages == {"node-initialize", "node-heartbeat", "pod-ready", "pod-succeed", "pod-fail", "pod-delete"}
    assert documents[-1]["spec"]["logs"][0]["logsFile"] == "/run/x/log"


def test_each_simulated_node_is_marked_as_fake() -> None:
    nodes = [simulated.node(number) for number in range(3)]
    assert len({node["metadata"]["name"] for node in nodes}) == 3
    assert {node["metadata"]["annotations"]["kwok.x-k8s.io/node"] for node in nodes} == {"fake"}


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox:1", "docker.io/library/busybox:1"),
        ("team/tool:2", "docker.io/team/tool:2"),
        ("example.org/tool:3", "example.org/tool:3"),
        ("localhost:5000/tool:4", "localhost:5000/tool:4"),
    ],
)
def test_an_image_gets_the_name_that_the_kubelet_looks_for(name: str, full: str) -> None:
    assert images.full_name(name) == full


@pytest.mark.parametrize("name", ["busybox", "localhost:5000/tool", ":1"])
def test_an_image_without_a_tag_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="no tag"):
        images.full_name(name)


def test_an_image_holds_the_folder_as_roots_files(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/greeting").write_text("hello")
    image = images.archive("x:1", images.folder_layer(tmp_path))
    manifest = json.loads(_content(image, "manifest.json"))[0]
    layer = _content(image, manifest["Layers"][0])
    config = json.loads(_content(image, manifest["Config"]))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert _content(layer, "etc/greeting") == b"hello"
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        assert {entry.uid for entry in files} == {0}


def _content(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        file = files.extractfile(name)
        assert file is not None
        return file.read()


def test_on_cgroup_v1_the_group_is_made_below_every_controller(tmp_path: Path) -> None:
    for controller in ("memory", "cpuset"):
        (tmp_path / controller).mkdir()
        (tmp_path / controller / "cgroup.procs").touch()
    (tmp_path / "cpuset/cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset/cpuset.mems").write_text("0\n")
    cgroups.make("x", tmp_path)
    assert (tmp_path / "memory/x").is_dir()
    assert (tmp_path / "cpuset/x/cpuset.cpus").read_text() == "0-1\n"
    assert (tmp_path / "cpuset/x/cpuset.mems").read_text() == "0\n"


def test_on_cgroup_v2_the_controllers_are_handed_down_twice(tmp_path: Path) -> None:
    for group in (tmp_path, tmp_path / "x"):
        group.mkdir(exist_ok=True)
        (group / "cgroup.controllers").write_text("cpu memory misc pids\n")
    cgroups.make("x", tmp_path)
    for group in (tmp_path, tmp_path / "x"):
        assert (group / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_a_cgroup_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu\n")
    with pytest.raises(ClusterError, match="Run as root"):
        cgroups.make("x", tmp_path)


def test_a_long_state_home_is_not_used_for_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/tmp/" + "x" * 60)
    assert clusters_home() == Path(f"/tmp/spark-clusters-{os.getuid()}")
    monkeypatch.setenv("XDG_STATE_HOME", "/tmp/short")
    assert clusters_home() == Path("/tmp/short/spark-clusters")


def test_a_process_is_stopped_by_id_and_start_time_only(tmp_path: Path) -> None:
    processes = Processes(tmp_path / "processes.json")
    processes.start("sleeper", ["sleep", "600"], tmp_path / "log", dict(os.environ))
    pid = processes.pid("sleeper")
    assert pid is not None
    recorded = (tmp_path / "processes.json").read_text()
    (tmp_path / "processes.json").write_text(json.dumps({"sleeper": [pid, 1]}))
    assert not processes.stop("sleeper"), "another process got the id since"
    assert start_time(pid) is not None
    (tmp_path / "processes.json").write_text(recorded)
    assert processes.stop("sleeper")
    assert start_time(pid) is None
    assert processes.names() == []


def test_a_missing_part_is_named_a_line_each_with_the_way_out() -> None:
    out = io.StringIO()
    assert report_missing(["root: no", "disk: full"], out) == 3
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["root: no", "disk: full"]
    assert "SPARK_TEST_KUBECONFIG" in lines[2]


def test_a_fit_machine_gets_no_output() -> None:
    out = io.StringIO()
    assert report_missing([], out) == 0
    assert out.getvalue() == ""


def test_a_cluster_that_is_not_up_says_so_and_how_to_start_it(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_STATE_HOME": "", "XDG_CACHE_HOME": str(tmp_path)}
    for arguments in (["status"], ["stop", "kubelet"], ["kubectl", "get", "pods"]):
        named = [arguments[0], "--name", "never-started", *arguments[1:]]
        command = [sys.executable, "-m", "dev.cluster", *named]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "never-started is not up" in done.stdout + done.stderr
