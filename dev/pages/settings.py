"""The reference page of settings, which the settings make themselves."""

from spark_jobs import config

_FOLLOWING = """
## What next

- [A server in production](../guides/server-in-production.md): which of these matter there.
- [Kubeconfig and permissions](../guides/kubeconfig-and-permissions.md): how the credentials are found.
- `spark config view` shows each value and where it comes from.
"""


def settings_page() -> str:
    """The page, with where to read on."""
    return '<!-- Made by "make fmt" from `src/spark_jobs/config/table.py`; do not edit. -->\n\n' + (
        config.reference().rstrip("\n") + "\n" + _FOLLOWING
    )
