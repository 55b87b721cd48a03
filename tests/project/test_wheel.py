"""What the wheel holds: the package with its type marker, Swagger UI 5, the licence; not the tests."""

import zipfile

import pytest

from tests.project.repository import ROOT, build_wheel

SWAGGER = "spark_jobs/api/static/swagger"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel")))


def test_swagger_ui_5_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    assert wheel.read(f"{SWAGGER}/VERSION").decode().strip().lstrip("v").startswith("5.")
    assert wheel.getinfo(f"{SWAGGER}/swagger-ui-bundle.js").file_size > 500_000
    assert wheel.getinfo(f"{SWAGGER}/swagger-ui.css").file_size > 50_000
    assert b"Apache License" in wheel.read(f"{SWAGGER}/LICENSE") or b"SmartBear" in wheel.read(f"{SWAGGER}/LICENSE")


def test_the_package_is_whole_and_alone(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {"spark_jobs/__init__.py", "spark_jobs/py.typed"} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"spark_jobs"}
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_every_source_file_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert sources <= set(wheel.namelist())
