"""Fixtures for the tests of the command `images`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import aws
from tests.cli.registry import Command, Registry, registry

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package into a folder, and return the folder.

    click and setuptools come from this environment, so no package is downloaded.
    """
    folder = tmp_path_factory.mktemp("package")
    # The build writes into the folder with the source.
    source = shutil.copytree(ROOT / "cli", folder / "source")
    pip = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    command = [sys.executable, *pip, f"--target={folder / 'installed'}", str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "installed"


@pytest.fixture(scope="package")
def served_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    app = "tests.cli.app_with_provider:create_app()"
    with aws.start() as endpoint, registry(folder, endpoint, app) as found:
        yield found


@pytest.fixture
def catalog(served_registry: Registry) -> Registry:
    """Return the registry of all tests of the command, without images."""
    served_registry.delete_all_images()
    return served_registry


@pytest.fixture
def images(package: Path, tmp_path: Path, catalog: Registry) -> Command:
    """Return the command with a token of the editor of acme."""
    environ = {
        "IMAGES_URL": catalog.url,
        "IMAGES_SCOPE": "acme",
        "IMAGES_TOKEN": catalog.token("account-editor"),
    }
    return Command(package, tmp_path, environ)
