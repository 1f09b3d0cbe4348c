"""The floors of the house: who may import what, and that every template compiles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

ROOT = Path(__file__).parent.parent
USE_CASES = (
    "access",
    "audit",
    "bookmarks",
    "bulk",
    "catalogue",
    "cloud_credentials",
    "deleted_images",
    "demonstration",
    "exchange",
    "facets",
    "image_details",
    "import_files",
    "import_life",
    "import_lines",
    "imports",
    "jobs",
    "life_cycle",
    "matching",
    "members",
    "operating_systems",
    "ordering",
    "overview",
    "people",
    "preferences",
    "receipts",
    "registration",
    "saved_views",
    "scopes",
    "search",
    "settings",
    "suggestions",
    "vault",
)
ADAPTERS = sorted((ROOT / "webapp" / "clouds").glob("*.py"))
WEB = {"flask", "flask_htmx", "flask_login", "flask_wtf", "wtforms", "werkzeug", "jinja2"}
SDKS = {"boto3", "botocore", "azure", "google", "openstack", "keystoneauth1", "pyVim", "pyVmomi"}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top_levels(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(path)}


@pytest.mark.parametrize("name", USE_CASES)
def test_use_cases_know_nothing_of_the_web_or_of_an_sdk(name: str) -> None:
    path = ROOT / "webapp" / f"{name}.py"
    assert not top_levels(path) & (WEB | SDKS)
    assert not any(each.startswith("webapp.views") for each in imports_of(path))


def test_tables_know_nothing_above_them() -> None:
    for name in ("fields", "tenancy", "models"):
        assert not top_levels(ROOT / f"{name}.py") & (WEB | SDKS | {"webapp"})


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.name)
def test_adapters_know_nothing_of_the_web_or_of_the_tables(path: Path) -> None:
    assert not top_levels(path) & (WEB | {"models"})
    allowed = {"webapp.clouds"} if path.name != "__init__.py" else {"webapp"}
    for name in imports_of(path):
        if name.startswith("webapp"):
            assert any(name.startswith(each) for each in allowed)


def test_views_do_not_import_an_sdk() -> None:
    for path in (ROOT / "webapp").rglob("*.py"):
        if path.parent.name != "clouds":
            assert not top_levels(path) & SDKS, path


def test_only_rendering_knows_what_htmx_sends() -> None:
    for path in (ROOT / "webapp").rglob("*.py"):
        if path.name != "rendering.py":
            assert "HX-" not in path.read_text(), path


def test_no_cloud_is_named_outside_its_own_files() -> None:
    """The demonstration is about the sandbox's clouds and may name them."""
    for path in (ROOT / "webapp").rglob("*.py"):
        if path.parent.name != "clouds" and path.name != "demonstration.py":
            text = {
                node.value
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            assert not text & {"aws", "azure", "gce", "openstack", "vmware"}, path


def test_importing_the_app_loads_no_sdk() -> None:
    code = (
        "import sys, webapp; "
        f"print(sorted({SDKS!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_every_template_compiles(app: Flask) -> None:
    names = app.jinja_env.list_templates()
    assert len(names) > 20
    for name in names:
        assert app.jinja_env.get_template(name)


def test_every_icon_is_in_the_sprite(app: Flask) -> None:
    """A symbol that is missing would only show as a gap."""
    sprite = (ROOT / "webapp/static/vendor/icons.svg").read_text()
    listed = (ROOT / "webapp/static/icons.txt").read_text().split()
    for name in listed:
        assert f'id="{name}"' in sprite, name


def test_files_stay_readable() -> None:
    for path in [
        *ROOT.glob("*.py"),
        *(ROOT / "webapp").rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
    ]:
        assert len(path.read_text().splitlines()) <= 400, path
