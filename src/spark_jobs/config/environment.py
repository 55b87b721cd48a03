"""Settings in the environment, and what there looks like one and is none.

Others use the prefix, too: a Kubernetes Service named ``spark`` puts ``SPARK_PORT=tcp://…`` into every pod beside it, and
Apache Spark has names of its own. Those are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spark_jobs.config.kinds import truth
from spark_jobs.config.table import PREFIX, TABLE, Setting
from spark_jobs.domain.errors import SettingError
from spark_jobs.domain.nearest import edits

_LINKS = ("tcp://", "udp://", "sctp://")
_EMPTY_COUNTS = "KUBECONFIG_PATH"

# Read by clients, or given to containers, or another program's and close to one of ours.
_OTHERS = frozenset(
    {"SPARK_CONFIG", "SPARK_SERVER", "SPARK_JOB_ID", "SPARK_JOB_ATTEMPT", "SPARK_HOME", "SPARK_CONF", "SPARK_CONF_DIR"}
)
_NO_LIMIT_ON_CALLS = "Spark does not limit incoming calls; --kube-qps limits its own requests to Kubernetes"
_NOT_APPLIED = {
    "RATE_LIMIT_REQUESTS_PER_SECOND": _NO_LIMIT_ON_CALLS,
    "RATE_LIMIT_BURST": _NO_LIMIT_ON_CALLS,
    "HTTP_SERVER_WEB_PORT": "the page is served on the port of the API",
}
_TLS_SWITCH = "GRPC_SERVER_TLS_ENABLED"
_SWITCHED = ("GRPC_SERVER_TLS_CERT", "GRPC_SERVER_TLS_KEY")


def setting_from(environ: Mapping[str, str], setting: Setting) -> tuple[str, str] | None:
    """The first of a setting's names that is set, with its value. Empty ones and service links count as unset.

    ``KUBECONFIG_PATH`` alone means something when it is empty: the pod's own account.
    """
    for name in setting.environment:
        value = environ.get(name)
        if value is None or (value == "" and name != _EMPTY_COUNTS):
            continue
        if name in _SWITCHED and tls_switch(environ) is False:
            continue
        if not (name.startswith(PREFIX) and value.startswith(_LINKS)):
            return name, value
    return None


def tls_switch(environ: Mapping[str, str]) -> bool | None:
    """What the older switch of gRPC's TLS says: false turns the older names of its files off; null where it is not set.

    Raises:
        SettingError: it says neither yes nor no.
    """
    word = environ.get(_TLS_SWITCH)
    if not word:
        return None
    try:
        return truth(word)
    except ValueError as error:
        raise SettingError(f"{_TLS_SWITCH}: {error}", setting="grpc_tls_cert") from None


def warnings_about(environ: Mapping[str, str]) -> Iterator[str]:
    """What to tell once about names that are recognised but not applied, and about near misses."""
    for name, why in _NOT_APPLIED.items():
        if environ.get(name):
            yield f"{name} is set and not applied: {why}"
    known = [name for setting in TABLE.values() for name in setting.environment if name.startswith(PREFIX)]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and name not in _OTHERS:
            meant = next((own for own in known if abs(len(own) - len(name)) <= 2 and edits(name, own) <= 2), None)
            if meant and not environ[name].startswith(_LINKS):
                yield f"{name} is set and is no setting of Spark; did you mean {meant}?"
