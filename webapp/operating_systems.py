"""The operating systems people choose from, how their versions are sorted, and what a cloud's own
words suggest. The families and versions are data: `operating_systems.toml`.

A family or version that is not in the data is stored as the person typed it, 1 to 64 characters.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OTHER = "other"
"""What the forms call a family or version that is not in the data. Never stored."""

TEXT_LENGTH = 300
"""Longer texts are not read to their end: names are at the beginning."""


@dataclass(frozen=True)
class Version:
    key: str
    label: str


@dataclass(frozen=True)
class Family:
    """An operating system family; `icon` is a symbol of the sprite."""

    key: str
    label: str
    icon: str
    versions: tuple[Version, ...]
    pattern: re.Pattern[str]
    """Finds the family's name."""
    names: dict[str, str]
    """Codenames, to the version that each names."""


@dataclass(frozen=True)
class Suggestion:
    """A guess: `version` is '' where only the family could be told. `text` is what it was read
    from."""

    family: str
    version: str
    text: str


def _load() -> dict[str, Family]:
    data = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    return {
        key: Family(
            key=key,
            label=entry["label"],
            icon=entry["icon"],
            versions=tuple(Version(*item) for item in entry["versions"].items()),
            pattern=re.compile(rf"(?<![a-z])(?:{'|'.join(entry['words'])})(?![a-z])", re.I),
            names=entry["names"],
        )
        for key, entry in data.items()
    }


FAMILIES = _load()
_CODENAMES = {
    name: (family.key, version)
    for family in FAMILIES.values()
    for name, version in family.names.items()
}
_CODENAME = re.compile(rf"(?<![a-z0-9])({'|'.join(_CODENAMES)})(?![a-z0-9])", re.I)
# The more telling name first: CentOS Stream is CentOS too, and so are others.
_BY_SPECIFICITY = (
    "centos-stream",
    "fedora-coreos",
    "opensuse",
    "windows-client",
    "azure-linux",
    "oracle",
    *FAMILIES,
)


def label(family: str, version: str = "") -> str:
    """'Ubuntu 24.04 LTS Noble Numbat'; what is not in the data is shown as it was typed."""
    known = FAMILIES.get(family)
    if known is None:
        return f"{family} {version}".strip()
    labels = {each.key: each.label for each in known.versions}
    return f"{known.label} {labels.get(version, version)}".strip()


def version_key(version: str) -> str:
    """A text whose order is that of the versions as numbers: 9.10 after 9.9, 2012 R2 after 2012.
    At most 64 characters."""
    parts = re.findall(r"\d+|[a-z]+", version.lower())
    return ".".join(part.zfill(6) if part.isdigit() else part for part in parts)[:64]


def matching(word: str) -> tuple[list[str], dict[str, list[str]]]:
    """What is shown with `word` in its label: families, and versions by family."""
    word = word.lower()
    families = [each.key for each in FAMILIES.values() if word in each.label.lower()]
    versions = {
        family.key: [each.key for each in family.versions if word in each.label.lower()]
        for family in FAMILIES.values()
        if family.key not in families
    }
    return families, {family: keys for family, keys in versions.items() if keys}


def guess(texts: Sequence[str]) -> Suggestion | None:
    """What the cloud's own words suggest, the first text that tells a version winning over an
    earlier one that tells only the family. Never a version that the words do not name."""
    only_family = None
    for text in texts:
        found = _guess(text)
        if found and found.version:
            return found
        only_family = only_family or found
    return only_family


def _guess(text: str) -> Suggestion | None:
    start = text[:TEXT_LENGTH]
    for key in _BY_SPECIFICITY:
        match = FAMILIES[key].pattern.search(start)
        if match:
            version = _version_in(FAMILIES[key], start, match.start())
            return Suggestion(key, version, text)
    named = _CODENAME.search(start)
    if named:
        return Suggestion(*_CODENAMES[named[1].lower()], text)
    return None


# What may stand for a version: 24.04, 24_04, 2404, 9, 9.4, 2012-R2, 15-SP6, 7.9. A longer run of
# digits is a date or a build.
_NUMBER = re.compile(
    r"(?<![0-9a-z.])v?(?<!\d)(\d{1,4})(?:[._-](\d{1,2})(?!\d))?(?:[ ._-]?(r2|sp\d))?(?![0-9])",
    re.I,
)

_ARCHITECTURE = re.compile(r"x86_64|amd64|x64|arm64|aarch64|i[36]86", re.I)


def _version_in(family: Family, text: str, position: int) -> str:
    """The version named behind the family's name, or by a codename, or before it."""
    for name in _CODENAME.findall(text):
        if name.lower() in family.names:
            return family.names[name.lower()]
    known = {each.key for each in family.versions}
    behind = re.sub(r"^[A-Za-z]+", " ", text[position:])
    for part in (_ARCHITECTURE.sub(" ", behind), text[:position]):
        for match in _NUMBER.finditer(part):
            version = _known_version(known, match)
            if version:
                return version
    return ""


def _known_version(known: set[str], match: re.Match[str]) -> str:
    """The most exact version of the data that the numbers name."""
    first, second, suffix = match[1], match[2] or "", (match[3] or "").lower()
    if not second and len(first) == 4:
        joined = f"{first[:2]}.{first[2:]}"
        if joined in known:
            return joined
    for candidate in (
        f"{first}-{suffix}" if suffix else "",
        f"{first}.{second}" if second else "",
        first,
    ):
        if candidate and candidate in known:
            return candidate
    return ""
