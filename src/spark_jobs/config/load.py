"""Finding each setting's value: flag over environment over file over default."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spark_jobs.auth import state_home
from spark_jobs.config.environment import setting_from, tls_switch, warnings_about
from spark_jobs.config.kinds import Base
from spark_jobs.config.table import TABLE, Setting, Settings
from spark_jobs.domain.errors import InvalidSpec, SettingError
from spark_jobs.domain.limits import JobLimits, parse_limits
from spark_jobs.domain.nearest import did_you_mean
from spark_jobs.domain.parse import parse_defaults
from spark_jobs.domain.quantities import duration_text
from spark_jobs.domain.spec import NO_LIMIT

_TABLES = ("job_defaults", "job_limits")


class _Found(NamedTuple):
    """A value as it was written, where, what its paths are relative to, and what a message calls it."""

    raw: object
    origin: str
    base: Base
    called: str


def load(flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """All settings.

    Args:
        flags: values by setting name; null and empty lists count as not given.
        environ: the environment.
        file: the TOML file; null takes the one that ``SPARK_CONFIG`` names, if any.

    Raises:
        SettingError: a name is unknown or a value is wrong; it says which and what to write.
    """
    if file is None and environ.get("SPARK_CONFIG"):
        file = Path(environ["SPARK_CONFIG"])
    document = _read(file) if file else {}
    for name in flags:
        if name not in TABLE or TABLE[name].flag is None:
            raise SettingError(f"`{name}` is no setting that a flag can give", setting=name)
    home = _home(environ)
    values: dict[str, Any] = {}
    origins = {}
    for setting in TABLE.values():
        found = next(_places(setting, flags, environ, _File(file, document), home), None)
        if found is not None:
            values[setting.name] = _value(setting, found)
            origins[setting.name] = found.origin
    if "data_dir" not in values:
        values["data_dir"] = _default_data_dir(environ)
    settings = Settings(
        **values,
        job_defaults=_section(file, document, "job_defaults", parse_defaults, {}),
        job_limits=_section(file, document, "job_limits", parse_limits, JobLimits()),
        origins=origins,
        warnings=tuple(warnings_about(environ)),
    )
    _check_together(settings)
    _check_tls(settings, wanted=tls_switch(environ) is True)
    return settings


class _File(NamedTuple):
    path: Path | None
    document: Mapping[str, Any]


def _places(
    setting: Setting, flags: Mapping[str, object], environ: Mapping[str, str], file: _File, home: Path | None
) -> Iterator[_Found]:
    flag = flags.get(setting.name)
    if flag is not None and flag not in ([], ()):
        called = setting.flag or setting.name
        yield _Found(flag, called, Base(home), called)
    variable = setting_from(environ, setting)
    if variable is not None:
        name, value = variable
        yield _Found(value, name, Base(home), name)
    if file.path is not None and setting.name in file.document:
        base = Base(home, file.path.parent)
        yield _Found(file.document[setting.name], str(file.path), base, f"{file.path}: {setting.name}")


def _value(setting: Setting, found: _Found) -> Any:
    try:
        return setting.row.kind.read(found.raw, found.base)
    except ValueError as error:
        raise SettingError(f"{found.called}: {error}", setting=setting.name) from None


def _home(environ: Mapping[str, str]) -> Path | None:
    try:
        return Path(environ.get("HOME") or Path.home())
    except RuntimeError:
        return None


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    try:
        return state_home(environ) / "spark-jobs" / "default"
    except RuntimeError:
        text = "this user has no home folder to keep jobs in: name a folder with --data-dir, or set HOME"
        raise SettingError(text, setting="data_dir") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"the settings file {file} can't be read: {error.strerror}", setting="config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"the settings file {file} is not TOML: {error}", setting="config") from error
    known = [name for name, setting in TABLE.items() if not setting.row.secret]
    for name in document:
        if name in TABLE and name not in known:
            text = f"`{name}` does not belong in a file that others may read; set {TABLE[name].environment[0]}"
            raise SettingError(f"{file}: {text}", setting=name)
        if name not in known and name not in _TABLES:
            raise SettingError(f"{file}: unknown key `{name}`{did_you_mean(name, [*known, *_TABLES])}", setting=name)
    return document


def _section(file: Path | None, document: Mapping[str, Any], name: str, parse: Any, missing: Any) -> Any:
    if name not in document:
        return missing
    try:
        return parse(document[name])
    except InvalidSpec as error:
        faults = "; ".join(f"{fault.pointer.removeprefix('#/')}: {fault.detail}" for fault in error.faults)
        raise SettingError(f"{file}: [{name}] {faults}", setting=name) from None


def _check_together(settings: Settings) -> None:
    most = settings.job_limits.max_timeout
    usual = settings.job_defaults.get("timeout", settings.defaults().timeout)
    if most is not None and (usual == NO_LIMIT or usual > most):
        shown = "no limit" if usual == NO_LIMIT else duration_text(usual)
        text = f"a job that names no timeout gets {shown}, above [job_limits] max_timeout of {duration_text(most)}"
        raise SettingError(f"{text}; lower --default-timeout", setting="default_timeout")


def _check_tls(settings: Settings, *, wanted: bool) -> None:
    files = ("grpc_tls_cert", "grpc_tls_key")
    missing = [name for name in files if getattr(settings, name) is None]
    if not missing or (len(missing) == len(files) and not wanted):
        return
    asked = "GRPC_SERVER_TLS_ENABLED asks for TLS" if wanted else "TLS over gRPC needs a certificate and its key"
    names = [f"{TABLE[name].flag} ({' or '.join(TABLE[name].environment)})" for name in missing]
    raise SettingError(f"{asked}: set {' and '.join(names)}", setting=missing[0])
