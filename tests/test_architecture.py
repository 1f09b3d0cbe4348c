"""The structure of the code: its layers, and rules that import-linter cannot express.

The layers themselves are contracts in `pyproject.toml`.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

import models

ROOT = Path(__file__).parent.parent
SDKS = {"boto3", "botocore", "azure", "google", "openstack", "keystoneauth1", "pyVim", "pyVmomi"}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("webapp/images/registration.py", "import flask"),
        ("webapp/search/catalogue.py", "from webapp.views import images"),
        ("webapp/people/members.py", "from webapp.images import registration"),
        ("webapp/clouds/base.py", "import models"),
        ("webapp/clouds/aws/ids.py", "from webapp.clouds.gce import ids"),
        ("webapp/views/images.py", "import boto3"),
        ("webapp/views/images.py", "import peewee"),
        ("webapp/views/images.py", "from webapp.clouds.aws import ids"),
        ("webapp/refusals.py", "from flask import request"),
        ("webapp/settings.py", "import flask"),
        ("webapp/credentials/vault.py", "import sandbox"),
        ("schema/images.py", "from webapp import audit"),
    ],
)
def test_an_import_against_the_layers_is_reported(
    tmp_path: Path, module: str, statement: str
) -> None:
    for name in ("webapp", "schema"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("static", "templates")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / module
    planted.write_text(f"{planted.read_text()}\n{statement}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    assert "BROKEN" in result.stdout


def test_models_imports_only_the_schema() -> None:
    """import-linter analyzes packages only, and `models.py` is a module."""
    names = {name.partition(".")[0] for name in imports_of(ROOT / "models.py")}
    assert names == {"__future__", "schema"}


def test_webapp_has_few_top_level_modules() -> None:
    assert len(list((ROOT / "webapp").glob("*.py"))) <= 8


def test_only_rendering_reads_the_headers_of_htmx() -> None:
    for path in (ROOT / "webapp").rglob("*.py"):
        if path.name != "rendering.py":
            assert "HX-" not in path.read_text(), path


def test_no_cloud_is_named_outside_its_adapter() -> None:
    for path in (ROOT / "webapp").rglob("*.py"):
        if (ROOT / "webapp" / "clouds") not in path.parents:
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


def test_every_template_opens_with_its_context() -> None:
    for path in (ROOT / "webapp" / "templates").rglob("*.html"):
        text = path.read_text()
        assert text.startswith("{#"), path
        assert any(word in text.partition("#}")[0] for word in ("Context", "Macro")), path


def test_every_icon_is_in_the_sprite(app: Flask) -> None:
    """A missing symbol would only show as a gap."""
    sprite = (ROOT / "webapp/static/vendor/icons.svg").read_text()
    names = (ROOT / "webapp/static/icons.txt").read_text().split()
    for name in names:
        assert f'id="{name}"' in sprite, name


def test_every_update_of_edited_records_increments_their_revisions() -> None:
    """`save` and `update_all` do; Peewee's own `update` does not."""
    edited = {table.__name__ for table in models.TABLES if issubclass(table, models.EditedTable)}
    assert "Image" in edited
    for path in (ROOT / "webapp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in {"update", "replace"}:
                assert not (isinstance(node.value, ast.Name) and node.value.id in edited), path
