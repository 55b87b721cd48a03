"""Spark runs containers as Kubernetes Jobs and keeps track of them."""

from importlib import import_module

__all__ = ["__version__"]

# Public name -> module that defines it. Resolved at first use, so that `import spark_jobs` costs nothing.
_EXPORTS: dict[str, str] = {}


def __getattr__(name: str) -> object:
    """Resolve the version and the public names at first use (PEP 562)."""
    if name == "__version__":
        from importlib import metadata  # noqa: PLC0415 - takes 45 ms, which `spark --help` need not wait for

        return metadata.version("spark-jobs")
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
