"""The table of all settings: each field of :class:`Settings` is one, with its type, default and the row that tells more.

Flags, environment names, keys of the file, ``spark config view`` and the reference page are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

import msgspec

from spark_jobs.config import kinds
from spark_jobs.config.kinds import (
    BOOLEAN,
    DURATION,
    KUBECONFIG,
    LIMIT,
    NUMBER,
    PATH,
    PORT,
    PORT_OR_NONE,
    SINK,
    SIZE,
    Kind,
)
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.limits import JobLimits
from spark_jobs.domain.names import dns_label_problem
from spark_jobs.domain.spec import NO_LIMIT
from spark_jobs.sinks.address import SinkAddress

PREFIX = "SPARK_"
COMMANDS = ("server", "dev", "doctor", "config")
WITH_KUBERNETES = ("server", "doctor", "config")

CLUSTER, JOBS, KEEPING, SENDING, LISTENING, ACCESS, OTHER = (
    "Cluster",
    "Jobs and queue",
    "What is kept",
    "What is sent on",
    "Listening",
    "Who may call",
    "Service",
)


class Row(NamedTuple):
    """What the table says about a setting besides its name, type and default.

    ``older`` are names in the environment that count where the setting's own is not set. A secret is taken from the
    environment alone and never shown.
    """

    group: str
    kind: Kind
    help: str
    older: tuple[str, ...] = ()
    commands: tuple[str, ...] = COMMANDS
    default_text: str | None = None
    secret: bool = False


class Setting(NamedTuple):
    """One line of the table."""

    name: str
    row: Row
    default: Any

    @property
    def flag(self) -> str | None:
        """The flag's name; null for a secret, which is never a flag's value."""
        return None if self.row.secret else f"--{self.name.replace('_', '-')}"

    @property
    def environment(self) -> tuple[str, ...]:
        """Names in the environment; the first that is set counts."""
        return (PREFIX + self.name.upper(), *self.row.older)

    def show(self, value: Any) -> str:
        """The value as text; empty where there is none."""
        if self.row.secret:
            return "***" if value else ""
        return self.row.kind.show(value)


def _host_problem(host: str) -> str | None:
    return "write a host name alone, without scheme, port or path" if set(host) & set("/?#@ ") else None


def _origin_problem(origin: str) -> str | None:
    scheme, separator, host = origin.partition("://")
    if scheme in ("http", "https") and separator and host and not set(host) & set("/?#@ "):
        return None
    return "write an origin such as https://ci.example.com: scheme and host, no path"


def _name_problem(name: str) -> str | None:
    problem = dns_label_problem(name)
    return f"`{name}` {problem}" if problem else None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of an installation. Times are seconds, sizes are bytes; a limit of null is no limit.

    ``kubeconfig`` is null for what `kubectl` would take, ``in-cluster`` for the pod's own account, else a path.
    """

    cluster: Annotated[
        Literal["kubernetes", "local"],
        Row(
            CLUSTER,
            kinds.choice("kubernetes", "local"),
            "Where jobs run: Kubernetes, or this machine as processes.",
            commands=WITH_KUBERNETES,
        ),
    ] = "kubernetes"
    kubeconfig: Annotated[
        str | None,
        Row(
            CLUSTER,
            KUBECONFIG,
            "The kubeconfig file; `default` is ~/.kube/config, `in-cluster` the pod's own account.",
            older=("KUBECONFIG_PATH",),
            commands=WITH_KUBERNETES,
            default_text="what kubectl takes, else in-cluster",
        ),
    ] = None
    context: Annotated[
        str | None,
        Row(
            CLUSTER,
            kinds.text(),
            "The context in the kubeconfig.",
            commands=WITH_KUBERNETES,
            default_text="the kubeconfig's current one",
        ),
    ] = None
    namespace: Annotated[
        tuple[str, ...],
        Row(
            CLUSTER,
            kinds.words(_name_problem),
            "Namespaces that jobs may run in; the first is the default.",
            commands=WITH_KUBERNETES,
            default_text="the context's own",
        ),
    ] = ()
    instance: Annotated[
        str | None,
        Row(
            CLUSTER,
            kinds.text(_name_problem),
            "This installation's name, a label on every object it owns.",
            default_text="made with the data folder",
        ),
    ] = None
    kube_qps: Annotated[
        float, Row(CLUSTER, NUMBER, "Requests a second to Kubernetes; 0 is no limit.", commands=WITH_KUBERNETES)
    ] = 20.0
    kube_burst: Annotated[
        int, Row(CLUSTER, kinds.whole(1, 100_000), "Requests to Kubernetes at once.", commands=WITH_KUBERNETES)
    ] = 30
    max_concurrent_jobs: Annotated[
        int, Row(JOBS, kinds.whole(1, 100_000), "How many jobs run at a time.", older=("MAX_CONCURRENT_JOBS",))
    ] = 5
    queue_size: Annotated[
        int,
        Row(
            JOBS, kinds.whole(0, 10_000_000), "How many jobs may wait besides free slots.", older=("QUEUE_BUFFER_SIZE",)
        ),
    ] = 10_000
    default_timeout: Annotated[
        float | None, Row(JOBS, LIMIT, "Time limit of a job that names none.", older=("DEFAULT_JOB_TIMEOUT",))
    ] = 300.0
    start_timeout: Annotated[
        float | None, Row(JOBS, LIMIT, "How long a job that does not say may take from its slot to its container.")
    ] = 600.0
    image_grace: Annotated[
        float,
        Row(
            *(JOBS, DURATION, "How long an image that can't be pulled is waited for, or a node that is too busy."),
            commands=WITH_KUBERNETES,
        ),
    ] = 90.0
    data_dir: Annotated[
        Path, Row(KEEPING, PATH, "The folder for jobs and logs.", default_text="spark-jobs/default in the state home")
    ] = Path()
    retain_jobs: Annotated[float | None, Row(KEEPING, LIMIT, "How long finished jobs are kept.")] = 30 * 86400.0
    retain_logs: Annotated[float | None, Row(KEEPING, LIMIT, "How long logs of finished jobs are kept.")] = 7 * 86400.0
    max_log_bytes: Annotated[
        int, Row(KEEPING, SIZE, "Room for all logs, looked at every 10 s; the oldest go first.")
    ] = 10 * 2**30
    log_cap: Annotated[int, Row(KEEPING, SIZE, "How much of one attempt's log is kept.")] = 2**30
    keep_objects: Annotated[
        float,
        Row(KEEPING, DURATION, "How long a succeeded job's objects stay in Kubernetes.", commands=WITH_KUBERNETES),
    ] = 0.0
    keep_failed_objects: Annotated[
        float,
        Row(KEEPING, DURATION, "How long another job's objects stay in Kubernetes.", commands=WITH_KUBERNETES),
    ] = 0.0
    log_sink: Annotated[
        SinkAddress | None,
        Row(
            SENDING,
            SINK,
            "Where each whole log goes once it is settled: `file:///folder` or `s3://bucket/prefix`.",
            default_text="nowhere",
        ),
    ] = None
    host: Annotated[str, Row(LISTENING, kinds.text(_host_problem), "The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Row(LISTENING, PORT, "Port of REST and the page; 0 takes a free one.", older=("HTTP_SERVER_API_PORT",))
    ] = 8000
    grpc_port: Annotated[
        int | None,
        Row(
            LISTENING,
            PORT_OR_NONE,
            "Port of gRPC; 0 takes a free one, `none` serves REST alone.",
            older=("GRPC_SERVER_PORT",),
        ),
    ] = 9000
    grpc_tls_cert: Annotated[
        Path | None,
        Row(
            LISTENING,
            PATH,
            "The certificate (PEM) that gRPC shows; it then takes TLS alone. Read again when it changes.",
            older=("GRPC_SERVER_TLS_CERT",),
            default_text="no TLS",
        ),
    ] = None
    grpc_tls_key: Annotated[
        Path | None,
        Row(
            LISTENING,
            PATH,
            "The key of that certificate (PEM), readable by its owner alone.",
            older=("GRPC_SERVER_TLS_KEY",),
            default_text="no TLS",
        ),
    ] = None
    grpc_reflection: Annotated[
        bool,
        Row(
            LISTENING,
            BOOLEAN,
            "Whether gRPC describes itself to tools: with the token, or to all on loopback.",
            older=("GRPC_SERVER_ENABLE_REFLECTION",),
        ),
    ] = True
    auth: Annotated[
        Literal["auto", "token", "none"],
        Row(
            ACCESS,
            kinds.choice("auto", "token", "none"),
            "Whether callers need a token; auto: for the local cluster, and where other machines can call.",
        ),
    ] = "auto"
    token: Annotated[str | None, Row(ACCESS, kinds.text(), "The token itself.", secret=True)] = None
    token_file: Annotated[
        Path | None,
        Row(
            ACCESS,
            PATH,
            "A file that holds the token, readable by its owner alone.",
            default_text="made in the data folder on loopback",
        ),
    ] = None
    allowed_host: Annotated[
        tuple[str, ...],
        Row(ACCESS, kinds.words(_host_problem), "Further names that requests may call this server by, on loopback."),
    ] = ()
    allow_origin: Annotated[
        tuple[str, ...], Row(ACCESS, kinds.words(_origin_problem), "Web pages of these origins may call.")
    ] = ()
    log_format: Annotated[
        Literal["text", "json"], Row(OTHER, kinds.choice("text", "json"), "How the service writes its own log.")
    ] = "text"

    job_defaults: dict[str, Any] = {}
    job_limits: JobLimits = JobLimits()
    origins: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()

    def origin(self, name: str) -> str:
        """Where a setting's value comes from: a flag, a name in the environment, a file, or ``default``."""
        return self.origins.get(name, "default")

    def view(self) -> list[tuple[str, str, str]]:
        """Name, value as text and origin of every setting; secrets are hidden."""
        return [(name, line.show(getattr(self, name)), self.origin(name)) for name, line in TABLE.items()]

    def defaults(self, namespace: str | None = None) -> Defaults:
        """What jobs get where they leave something out; the default namespace is the cluster's to know."""
        return Defaults(
            timeout=NO_LIMIT if self.default_timeout is None else self.default_timeout,
            start_timeout=NO_LIMIT if self.start_timeout is None else self.start_timeout,
            namespace=namespace,
            job=self.job_defaults,
        )


def _table() -> dict[str, Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    lines = {}
    for field in msgspec.structs.fields(Settings):
        for row in getattr(hints[field.name], "__metadata__", ()):
            lines[field.name] = Setting(field.name, row, field.default)
    return lines


TABLE: Mapping[str, Setting] = _table()


def flags_of(command: str) -> list[Setting]:
    """The settings that are flags of a command, in the order of the table."""
    return [line for line in TABLE.values() if line.flag and command in line.row.commands]
