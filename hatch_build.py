"""Build hook: puts Swagger UI 5 into the wheel, so that `/docs` works without internet.

The files come from the `flask-swagger-ui` distribution, a build requirement that carries the released files of
Swagger UI; nothing of Flask is used. They are copied beside the sources, where git ignores them, so that an editable
install serves them too.
"""

import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "flask-swagger-ui"
FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "LICENSE", "VERSION")
TARGET = Path("src/spark_jobs/api/static/swagger")


class SwaggerUiHook(BuildHookInterface[Any]):
    """Copies Swagger UI's files and declares them as part of the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Copy the files before a wheel, editable or not, is built; a source distribution carries none."""
        if self.target_name != "wheel":
            return
        target = Path(self.root) / TARGET
        target.mkdir(parents=True, exist_ok=True)
        for source in swagger_files():
            shutil.copyfile(source, target / source.name)
        # git ignores the files, so hatchling would leave them out if they were not named here.
        build_data["artifacts"].append(f"/{TARGET}/*")


def swagger_files() -> list[Path]:
    """Where the installed package keeps the files; raises FileNotFoundError if it is not Swagger UI 5."""
    distribution = metadata.distribution(PACKAGE)
    dist = Path(str(distribution.locate_file("flask_swagger_ui/dist")))
    found = (dist / "VERSION").read_text().strip()
    if not found.lstrip("v").startswith("5."):
        raise FileNotFoundError(f"{PACKAGE} {distribution.version} carries Swagger UI {found}; wanted 5.x")
    return [dist / name for name in FILES]
