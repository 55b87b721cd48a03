"""The table of permissions inside the guide about them."""

from pathlib import Path

from dev.pages.markdown import table, with_block
from spark_jobs.cluster.kubernetes.access import PERMISSIONS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = "docs/guides/kubeconfig-and-permissions.md"


def permissions_guide() -> str:
    """The guide, written by hand, with its table made anew."""
    rows = (
        [
            f"`{each.resource}`" + (f" (`{each.group}`)" if each.group else ""),
            ", ".join(f"`{verb}`" for verb in each.verbs),
            each.why + ("" if each.namespaced else "; in no namespace"),
            "yes" if each.needed else "good to have",
        ]
        for each in PERMISSIONS
    )
    content = f"\n{table(['Resource', 'Verbs', 'What for', 'Needed'], rows)}\n"
    return with_block((ROOT / GUIDE).read_text(encoding="utf-8"), "permissions", content)
