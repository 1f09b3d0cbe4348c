"""Print the bill of materials or the licenses of the packages that the application uses.

    .venv/bin/python -m scripts.supply_chain bom > bom.json
    .venv/bin/python -m scripts.supply_chain licenses

The bill of materials is CycloneDX 1.6 as JSON. It lists the Python packages in
`requirements/base.txt` that the application needs on the operating system and with the Python
version that run this script. It also lists the packages in `package-lock.json` that the browser
loads. The hashes of the packages come from these two files. The licenses of Python packages are
read from the packages installed in `.venv/`, which must have the locked versions. The output
contains no time, so it changes only with the packages and with the version of the application.
"""

from __future__ import annotations

import json
import re
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from webapp import __version__

ROOT = Path(__file__).resolve().parent.parent
NAME = "image-registry"
LICENSE = "Apache-2.0"
LONGEST_NAME = 64
"""If the field License is longer than this, it contains the whole license instead of its name."""

LICENSES = {"peewee": "MIT"}
"""The SPDX expressions of packages that name a license in a file, but not in their metadata."""


@dataclass(frozen=True)
class Package:
    """A package that the application uses."""

    purl: str
    """The package URL, such as `pkg:pypi/flask@3.1.0`."""
    name: str
    version: str
    license: str
    """An SPDX expression if `is_spdx`, else the name of a license. '' if it is unknown."""
    is_spdx: bool
    hashes: tuple[tuple[str, str], ...]
    """The algorithm and the hexadecimal digest of each file of the package."""
    uses: tuple[str, ...]
    """The package URLs of the packages that this package needs."""
    is_direct: bool
    """Whether the application itself needs the package."""


def main() -> None:
    commands = {"bom": print_bill_of_materials, "licenses": print_licenses}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"Usage: python -m scripts.supply_chain {' | '.join(commands)}")
    commands[sys.argv[1]]([*python_packages(), *browser_packages()])


def print_bill_of_materials(packages: list[Package]) -> None:
    print(json.dumps(bill_of_materials(packages), indent=2))


def print_licenses(packages: list[Package]) -> None:
    """Print a line for each package. Exit with status 1 if a license is unknown."""
    for package in packages:
        kind = "browser" if package.purl.startswith("pkg:npm/") else "Python"
        license_name = package.license or "UNKNOWN"
        print(f"{package.name:32}{package.version:14}{kind:10}{license_name}")
    if unknown := [package.name for package in packages if not package.license]:
        sys.exit(f"The license of these packages is unknown: {', '.join(unknown)}")


def bill_of_materials(packages: list[Package]) -> dict[str, Any]:
    """Return a CycloneDX document."""
    application = f"pkg:generic/{NAME}@{__version__}"
    uses = {application: [each.purl for each in packages if each.is_direct]}
    uses |= {each.purl: list(each.uses) for each in packages}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": application,
                "name": NAME,
                "version": __version__,
                "licenses": [{"expression": LICENSE}],
            }
        },
        "components": [_component(package) for package in packages],
        "dependencies": [
            {"ref": purl, "dependsOn": sorted(needed)} for purl, needed in uses.items()
        ],
    }


def _component(package: Package) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "hashes": [{"alg": name, "content": digits} for name, digits in package.hashes],
    }
    if package.license:
        named = {"license": {"name": package.license}}
        component["licenses"] = [{"expression": package.license} if package.is_spdx else named]
    return component


def python_packages() -> Iterator[Package]:
    """Yield the packages of the lock. Exit with a message if a locked version is not installed."""
    needed_by: dict[NormalizedName, set[NormalizedName]] = {}
    locked: dict[NormalizedName, tuple[Requirement, tuple[tuple[str, str], ...]]] = {}
    text = (ROOT / "requirements" / "base.txt").read_text().replace("\\\n", "")
    for block in re.split(r"\n(?=[^\s#])", text.strip()):
        head, *comments = block.split("\n")
        line, *hashes = head.split("--hash=sha256:")
        requirement = Requirement(line.strip())
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        name = canonicalize_name(requirement.name)
        locked[name] = requirement, tuple(("SHA-256", digits.strip()) for digits in hashes)
        # The comments below a package list the packages that need it: `# via flask`.
        words = " ".join(each.strip(" #").removeprefix("via") for each in comments).split()
        needed_by[name] = {canonicalize_name(word) for word in words if not word.startswith("(")}
    purls = {name: f"pkg:pypi/{name}@{_version(each)}" for name, (each, _) in locked.items()}
    for name, (requirement, hashes) in locked.items():
        license_name, is_spdx = _license(_installed(name, _version(requirement)))
        yield Package(
            purl=purls[name],
            name=name,
            version=_version(requirement),
            license=license_name,
            is_spdx=is_spdx,
            hashes=hashes,
            uses=tuple(purls[other] for other in locked if name in needed_by[other]),
            is_direct=NAME in needed_by[name],
        )


def _version(requirement: Requirement) -> str:
    return str(requirement.specifier).removeprefix("==")


def _installed(name: str, version: str) -> Distribution:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        sys.exit(f"{name} is not installed. Install requirements/base.txt.")
    if found.version != version:
        sys.exit(f"{name} {found.version} is installed, but {version} is locked.")
    return found


def _license(package: Distribution) -> tuple[str, bool]:
    """Return the license of a package, and whether it is an SPDX expression.

    Older packages have no expression. For them, use the classifiers or else the field License.
    """
    expression = "".join(_field(package, "License-Expression"))
    expression = expression or LICENSES.get(canonicalize_name(package.name), "")
    if expression:
        return expression, True
    classifiers = [each.split(" :: ") for each in _field(package, "Classifier")]
    names = [each[-1] for each in classifiers if each[0] == "License" and len(each) > 2]
    if names:
        return " and ".join(names), False
    name = "".join(_field(package, "License")).strip()
    return (name, False) if len(name) <= LONGEST_NAME and "\n" not in name else ("", False)


def _field(package: Distribution, name: str) -> list[str]:
    """Return all values of a field of the metadata."""
    return package.metadata.get_all(name) or []


def browser_packages() -> Iterator[Package]:
    """Yield the packages that the browser loads. Packages for development are left out."""
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    direct = lock[""]["dependencies"]
    packages = {path: each for path, each in lock.items() if path and not each.get("dev")}
    purls = {path: _npm_purl(path, each) for path, each in packages.items()}
    for path, each in packages.items():
        name = path.removeprefix("node_modules/")
        algorithm, _, digest = each["integrity"].partition("-")
        yield Package(
            purl=purls[path],
            name=name,
            version=each["version"],
            license=each.get("license", ""),
            is_spdx=True,
            hashes=((f"SHA-{algorithm.removeprefix('sha')}", b64decode(digest).hex()),),
            uses=tuple(purls[f"node_modules/{other}"] for other in each.get("dependencies", ())),
            is_direct=name in direct,
        )


def _npm_purl(path: str, package: Mapping[str, Any]) -> str:
    return f"pkg:npm/{quote(path.removeprefix('node_modules/'))}@{package['version']}"


if __name__ == "__main__":
    main()
