"""The operating systems people choose from, how their versions are sorted, and what a cloud's own
words suggest. The families and versions are data: `operating_systems.toml`.

A family or version that is not in the data is stored as the person typed it: 1 to 64 characters,
in the same column as a key of the data.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OTHER = "other"
"""What the forms call a family or version that is not in the data. Never stored."""

TEXT_LENGTH = 300
"""Longer texts are not read to their end: names are at the beginning."""

VERSION_KEY_LENGTH = 64


@dataclass(frozen=True)
class Version:
    """One version of a family: `key` is stored, `label` is for people."""

    key: str
    label: str


@dataclass(frozen=True)
class Family:
    """An operating system family; `icon` is a symbol of the sprite."""

    key: str
    label: str
    icon: str
    versions: tuple[Version, ...]


@dataclass(frozen=True)
class Suggestion:
    """A guess: `version` is '' where only the family could be told. `text` is what it was read
    from."""

    family: str
    version: str
    text: str


_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

FAMILIES = {
    key: Family(
        key=key,
        label=entry["label"],
        icon=entry["icon"],
        versions=tuple(
            Version(version, entry.get("labels", {}).get(version, version))
            for version in entry["versions"]
        ),
    )
    for key, entry in _DATA.items()
}


def label(family: str, version: str = "") -> str:
    """'Ubuntu 24.04 LTS Noble Numbat'; what is not in the data is shown as it was typed."""
    known = FAMILIES.get(family)
    if known is None:
        return f"{family} {version}".strip()
    labels = {each.key: each.label for each in known.versions}
    return f"{known.label} {labels.get(version, version)}".strip()


def version_key(version: str) -> str:
    """A text whose order, as plain text, is that of the versions with their numbers compared as
    numbers: 9.10 after 9.9, 2012 R2 after 2012. At most 64 characters.

    Before each number stands how many digits it has, a letter from the tenth on: 9.10 is '19.210'.
    """
    parts = re.findall(r"[0-9]+|[a-z]+", version.lower())
    return ".".join(_sortable(part) for part in parts)[:VERSION_KEY_LENGTH]


def _sortable(part: str) -> str:
    if not part.isdigit():
        return part
    digits = part.lstrip("0") or "0"
    return "123456789abcdefghijklmnopqrstuvwxyz"[min(len(digits), 35) - 1] + digits


def guess(texts: Sequence[str]) -> Suggestion | None:
    """What the cloud's own words suggest, the first text that tells a version winning over an
    earlier one that tells only the family, or tells the same version less exactly: of a licence
    for SLES 12 and a name with SLES 12 SP5, the name.

    Rather silent than wrong: a number counts only next to the family's name, with nothing but
    words such as "server" or "amd64" between them, and a text that names two families or two
    versions does not say which is meant. Give what belongs together, such as an Azure image's
    publisher, offer and SKU, as one text.
    """
    best: Suggestion | None = None
    for text in texts:
        found = _guess(text)
        if found and (best is None or _tells_more(found, best)):
            best = found
    return best


def _tells_more(later: Suggestion, sooner: Suggestion) -> bool:
    if not sooner.version:
        return later.version != ""
    return later.family == sooner.family and _is_within(later.version, sooner.version)


def _is_within(exact: str, rough: str) -> bool:
    """Whether 9.4 or 12-sp5 is a case of 9 or 12."""
    return exact.startswith((f"{rough}.", f"{rough}-"))


def _guess(text: str) -> Suggestion | None:
    words = _beginning(text).lower()
    mentions = [(each.lastgroup or "", *_read(words, each)) for each in _MENTION.finditer(words)]
    clear = {family for group, family, _ in mentions if not group.startswith("vague")}
    named = [
        (family, version) for _, family, version in mentions if not clear or family in clear
    ] or _lone_codenames(words)
    families = {family for family, _ in named}
    if len(families) != 1:
        return None
    versions = {version for _, version in named if version}
    return Suggestion(families.pop(), _most_exact(versions), text)


def _beginning(text: str) -> str:
    """The part of the text that is read, without the half of a word at its end."""
    if len(text) <= TEXT_LENGTH:
        return text
    return text[:TEXT_LENGTH].rstrip(string.ascii_letters + string.digits + ".")


def _most_exact(versions: set[str]) -> str:
    """9.4 of 9 and 9.4; '' of 8 and 9."""
    exact = max(versions, key=len, default="")
    agreed = all(exact == each or _is_within(exact, each) for each in versions)
    return exact if agreed else ""


def _read(text: str, mention: re.Match[str]) -> tuple[str, str]:
    """The family that is mentioned, and the version that codename and number agree on."""
    group = mention.lastgroup or ""
    if group == "id":
        return _IDS[mention[0]]
    family = _GROUPS[group]
    versions: set[str] = set()
    numbered = False
    position = mention.end()
    while True:
        word = _WORD.match(text, position)
        if word and word[0] in _SPOKEN[family]:
            versions.add(_SPOKEN[family][word[0]])
        elif not (word := _BETWEEN.match(text, position)):
            word = None if numbered else _NUMBER.match(text, position)
            version = _numbered(family, text, word)
            if not word or not version:
                return family, _most_exact(versions)
            versions.add(version)
            numbered = True
        position = word.end()


def _lone_codenames(text: str) -> list[tuple[str, str]]:
    """Codenames without their family's name. Most are plain words, "a precise copy", so they count
    only where they are all that is said, or beside their number or a word of image names."""
    found = []
    for match in _CODENAME.finditer(text):
        family, version = _CODENAMES[match[0]]
        numbered = _numbered(family, text, _NUMBER.match(text, match.end() + 1)) == version
        if numbered or match[0] == text.strip() or _IMAGE_WORD.match(text, match.end()):
            found.append((family, version))
    return found


def _numbered(family: str, text: str, number: re.Match[str] | None) -> str:
    """The most exact version of the data that the numbers name."""
    if not number or _DATE.match(text, number.start()) or _NOT_AFTER.match(text, number.end()):
        return ""
    first, dot, second, suffix = number.group("first", "dot", "second", "suffix")
    candidates = [f"{first}-{suffix}", f"{first}.{second}", first]
    if dot == ".":
        candidates.insert(0, f"{first}-sp{second}")
    elif not dot:
        # 2404, 94, 810: written without the dot.
        candidates += [f"{first[:cut]}.{first[cut:]}" for cut in range(1, len(first))]
    return next((each for each in candidates if each in _KNOWN[family]), "")


_KNOWN = {key: set(entry["versions"]) for key, entry in _DATA.items()}
# What names a version in words: codenames, and keys such as "stable" or "23h2".
_SPOKEN = {
    key: {
        **{name: name for name in entry["versions"] if name.isalnum() and not name.isdigit()},
        **entry.get("codenames", {}),
    }
    for key, entry in _DATA.items()
}
_CODENAMES = {
    name: (key, version)
    for key, entry in _DATA.items()
    for name, version in entry.get("codenames", {}).items()
}
_IDS = {
    word: (key, version)
    for key, entry in _DATA.items()
    for word, version in entry.get("ids", {}).items()
}
# A group for each family's words, and one for its vague words, to the family.
_GROUPS = {
    f"{kind}{number}": key
    for kind in ("words", "vague")
    for number, (key, entry) in enumerate(_DATA.items())
    if kind in entry
}
_MENTION = re.compile(
    rf"(?<![a-z])(?=[a-z])(?:(?P<id>(?:{'|'.join(_IDS)})(?![a-z0-9]))|"
    + "|".join(
        f"(?P<{group}>(?:{'|'.join(_DATA[key][group.rstrip(string.digits)])})(?![a-z]))"
        for group, key in _GROUPS.items()
    )
    + ")"
)

_WORD = re.compile(r"[a-z0-9]+")
_CODENAME = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(_CODENAMES)})(?![a-z0-9])")
_IMAGE_WORD = re.compile(
    r"[ ._-](?:server[ ._-])?(?:cloudimg|(?:generic|no)cloud|minimal|amd64|arm64|x86_64|lts)"
    r"(?![a-z0-9])"
)

# What may stand between a family's name and its version. Anything else ends the search, since the
# next number then belongs to something else: "Debian with Postgres 12".
_BETWEEN = re.compile(
    r"""[\s_.,:;/()\[\]-]+
        | (?: gnu|linux|os|server|desktop|datacenter|cloud|base|core|generic|genericcloud|minimal
            | pro|lts|enterprise|edition|release|version|standard|full|english|rtm|container|free
            | stable|beta|dev|alpha|corevm|hvm|pv|vpc|nat|ebs|ssd|uefi|bios|daily|cloudimg
            | sap|ha|apps|for|applications|byos|payg|lvm|raw|hpc|gke|gcp|gce|fips(?:-updates)?|cvm
            | confidential|vm|arm
            | accelerator|v ) (?![a-z])
        | (?: (?:32|64)[ ]?-?bit|64guest|x86[_-]64|amd64|x64|arm64|aarch64|i[36]86
            | (?:amazon)?ec2|gp[23]|gen[12] ) (?![a-z0-9])""",
    re.VERBOSE,
)

# 24.04, 24_04, 2404, 9, 9.4, 2012-R2, 15-SP6, 7u9.
_NUMBER = re.compile(
    r"""(?P<first>[0-9]{1,4})
    (?: (?P<dot>[._-]) (?P<second>[0-9]{1,2}) (?=lts|[^a-z0-9]|$) )?
    (?: [ ._-]? (?P<suffix>r2|sp[0-9]) | u[0-9]{1,2} )?""",
    re.VERBOSE,
)
_DATE = re.compile(r"[0-9]{4}[._-][0-9]{2}[._-][0-9]{2}(?![0-9])")
# What follows a number that is no version: more digits or letters, "4/5", "2016 or later".
_NOT_AFTER = re.compile(
    r"""[0-9] | \s*/\s*[0-9] | \s*\+ | [ ]or[ ](?:later|newer|above|higher)
    | (?!lts|lvm|raw|byos|srv|server|guest|base|dc|sap|gen[12]|x64)[a-z]""",
    re.VERBOSE,
)
