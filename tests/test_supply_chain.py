"""The bill of materials lists every package of the locks, with its license and hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import supply_chain

ROOT = Path(__file__).parent.parent


def test_the_bill_of_materials_is_complete() -> None:
    packages = [*supply_chain.python_packages(), *supply_chain.browser_packages()]
    document = supply_chain.bill_of_materials(packages)
    components = {each["bom-ref"]: each for each in document["components"]}
    assert len(components) == len(packages)
    for component in components.values():
        assert component["licenses"], component["name"]
        assert component["hashes"], component["name"]
    # Every package is needed by the application or by another package, and each of them is listed.
    needed = {purl for each in document["dependencies"] for purl in each["dependsOn"]}
    assert needed == components.keys()
    names = {each["name"] for each in components.values()}
    assert {"flask", "cryptography", "htmx.org", "@tabler/core"} <= names
    assert not {"pytest", "axe-core"} & names
    lock = (ROOT / "requirements/base.txt").read_text()
    locked = re.findall(r"^([\w.-]+)==\S+ \\$", lock, re.MULTILINE)
    assert locked
    assert set(locked) <= names


def test_an_unknown_license_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    package = supply_chain.Package("pkg:pypi/a@1", "a", "1", "", False, (), (), True)
    with pytest.raises(SystemExit, match="unknown: a"):
        supply_chain.print_licenses([package])
    assert "UNKNOWN" in capsys.readouterr().out
