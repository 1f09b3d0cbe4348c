"""The operating systems that people choose from, and a suggestion based on the texts of a cloud.

`operating_systems.toml` lists families and versions, each with a key. The database stores the key
of a listed family or version. For any other family or version, it stores the text that the person
typed.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

OTHER = "other"
"""The value in forms for a family or version that is not in the list. Never stored."""

TEXT_LENGTH = 300
"""`suggest` looks for names only in this number of characters at the beginning of a text."""

VERSION_KEY_LENGTH = 64
"""The maximum length of the result of `version_key`, in characters."""


@dataclass(frozen=True)
class Version:
    """One version of a family: `key` is stored, `label` is shown."""

    key: str
    label: str


@dataclass(frozen=True)
class Family:
    """An operating system family; `icon` is the name of a symbol in the icon sprite."""

    key: str
    label: str
    icon: str
    versions: tuple[Version, ...]


@dataclass(frozen=True)
class Suggestion:
    """A suggested operating system, and the cloud's text that names it.

    `version` is '' if `source_text` names no version, or names versions that contradict each other.
    The list of operating systems need not contain `version`.
    """

    family: str
    version: str
    source_text: str


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
    """Return the name to show, such as 'Ubuntu 24.04 LTS Noble Numbat'.

    If a family or version is not listed, it is shown as the person typed it.
    """
    listed_family = FAMILIES.get(family)
    if listed_family is None:
        return f"{family} {version}".strip()
    labels = {each.key: each.label for each in listed_family.versions}
    return f"{listed_family.label} {labels.get(version, version)}".strip()


def family_with_version(text: str) -> Family | None:
    """Return the listed family if `text` names this family and a listed version of it, or None.

    For example, "Debian 12" is a family with its version, but "Ubuntu Core" is not. If "Debian 12"
    were stored as a family, a search could not distinguish it from the family Debian with the
    version 12.
    """
    return _FAMILIES_WITH_VERSIONS.get(text.lower())


_FAMILIES_WITH_VERSIONS: dict[str, Family] = {}
"""The family for each text that names a family and one of its versions, such as "debian 12"."""
for _family in FAMILIES.values():
    for _family_name in (_family.key, _family.label.lower()):
        for _version in _family.versions:
            for _version_name in (_version.key, _version.label.lower()):
                _FAMILIES_WITH_VERSIONS.setdefault(f"{_family_name} {_version_name}", _family)


def version_key(version: str) -> str:
    """Return a text by which versions are sorted in the order of their numbers.

    For example, 9.10 comes after 9.9, and 2012 R2 after 2012. In the text, each number follows the
    count of its digits: 9 becomes '19', 10 becomes '210', and 9.10 becomes '19.210'. A count of ten
    or more is a letter.
    """
    parts = re.findall(r"[0-9]+|[a-z]+", version.lower())
    return ".".join(_sortable(part) for part in parts)[:VERSION_KEY_LENGTH]


def _sortable(part: str) -> str:
    if not part.isdigit():
        return part
    digits = part.lstrip("0") or "0"
    return "123456789abcdefghijklmnopqrstuvwxyz"[min(len(digits), 35) - 1] + digits


def suggest(texts: Sequence[str]) -> Suggestion | None:
    """Return the operating system that the cloud's own texts name, or None.

    The first text that names an operating system wins, with these exceptions:

    - If the first text names no version, a later text with a version wins. A later text also wins
      if it names the same version more exactly. For example, the image name "SLES 12 SP5" wins over
      a license for SLES 12.
    - If at least two later texts name a version, and these versions agree with each other but not
      with the first text, the later texts win. For example, the license of an image names Windows
      Server 2016, but its image family, name and description all name version 1803.

    A wrong suggestion is worse than none. So a number counts as a version only if it follows the
    family's name, with nothing in between except words such as "server" or "amd64". A text with two
    families suggests nothing. A text with two versions that contradict each other suggests only the
    family. Texts that belong together, such as the publisher, offer and SKU of an Azure image, must
    be passed as one text.
    """
    suggestions = [suggestion for text in texts if (suggestion := _suggest_from(text))]
    if _is_outvoted(suggestions):
        suggestions = suggestions[1:]
    best: Suggestion | None = None
    for suggestion in suggestions:
        if best is None or _is_more_exact(suggestion, best):
            best = suggestion
    return best and replace(best, version=_readable_version(best))


def _is_outvoted(suggestions: Sequence[Suggestion]) -> bool:
    """Return whether the later suggestions agree with each other, but none with the first.

    Later suggestions without a version are ignored. At least two must have a version.
    """
    if not suggestions or not suggestions[0].version:
        return False
    first, *later = [suggestion for suggestion in suggestions if suggestion.version]
    return (
        len(later) >= 2
        and all(_agree(*pair) for pair in combinations(later, 2))
        and not any(_agree(suggestion, first) for suggestion in later)
    )


def _agree(one: Suggestion, other: Suggestion) -> bool:
    return one.family == other.family and (
        one.version == other.version
        or _is_release_of(one.version, other.version)
        or _is_release_of(other.version, one.version)
    )


def _readable_version(suggestion: Suggestion) -> str:
    """Return the key of a listed version, or a text such as "10 SP4" for an unlisted "10-sp4"."""
    version = suggestion.version
    if version in _VERSIONS[suggestion.family]:
        return version
    return re.sub("-(sp|r)(?=[0-9])", lambda match: f" {match[1].upper()}", version)


def _is_more_exact(later: Suggestion, earlier: Suggestion) -> bool:
    if not earlier.version:
        return later.version != ""
    return later.family == earlier.family and _is_release_of(later.version, earlier.version)


def _is_release_of(exact: str, rough: str) -> bool:
    """Return whether `exact` is a release of `rough`. For example, 9.4 is a release of 9."""
    return exact.startswith((f"{rough}.", f"{rough}-"))


def _suggest_from(text: str) -> Suggestion | None:
    """Return the operating system that one text names, or None."""
    words = _beginning(text).lower()
    mentions = [
        (match.lastgroup or "", *_read_mention(words, match)) for match in _MENTION.finditer(words)
    ]
    # If clear words name a family, ignore the vague words of other families.
    # `operating_systems.toml` explains vague words.
    clear_families = {family for group, family, _ in mentions if not group.startswith("vague")}
    mentioned_systems = [
        (family, version)
        for _, family, version in mentions
        if not clear_families or family in clear_families
    ] or _lone_codenames(words)
    families = {family for family, _ in mentioned_systems}
    if len(families) != 1:
        return None
    versions = {version for _, version in mentioned_systems if version}
    return Suggestion(families.pop(), _most_exact(versions), text)


def _beginning(text: str) -> str:
    """Return the part of `text` to search, without an incomplete word at its end."""
    if len(text) <= TEXT_LENGTH:
        return text
    return text[:TEXT_LENGTH].rstrip(string.ascii_letters + string.digits + ".")


def _most_exact(versions: set[str]) -> str:
    """Return the most exact version, or '' if the versions contradict each other.

    For example, return '9.4' for 9 and 9.4, and '' for 8 and 9.
    """
    exact = max(versions, key=len, default="")
    agree = all(exact == version or _is_release_of(exact, version) for version in versions)
    return exact if agree else ""


def _read_mention(text: str, mention: re.Match[str]) -> tuple[str, str]:
    """Return the mentioned family, and the version that the following words and numbers name.

    The version is '' if these words and numbers name no version, or name versions that contradict
    each other.
    """
    group = mention.lastgroup or ""
    if group == "id":
        return _IDS[mention[0]]
    family = _GROUPS[group]
    versions: set[str] = set()
    has_number = False
    position = mention.end()
    while True:
        word = _WORD.match(text, position)
        if word and word[0] in _VERSION_WORDS[family]:
            versions.add(_VERSION_WORDS[family][word[0]])
        elif not (word := _BETWEEN.match(text, position)):
            word = None if has_number else _NUMBER.match(text, position)
            version = _version_of_number(family, text, word)
            if not word or not version:
                return family, _most_exact(versions)
            versions.add(version)
            has_number = True
        position = word.end()


def _lone_codenames(text: str) -> list[tuple[str, str]]:
    """Return a (family, version) pair for each codename in a text without a family's name.

    Most codenames are ordinary words, as in "a precise copy". A codename therefore counts only if
    it is the whole text, or if its version number or a typical word of image names follows.
    """
    found = []
    for match in _CODENAME.finditer(text):
        family, version = _CODENAMES[match[0]]
        number = _NUMBER.match(text, match.end() + 1)
        has_number = _version_of_number(family, text, number) == version
        if has_number or match[0] == text.strip() or _IMAGE_WORD.match(text, match.end()):
            found.append((family, version))
    return found


def _version_of_number(family: str, text: str, number: re.Match[str] | None) -> str:
    """Return the most exact version of `family` that the number names, or ''.

    A version that is not in the list must match the family's `unlisted` pattern.
    """
    if not number or _DATE.match(text, number.start()) or _NOT_AFTER.match(text, number.end()):
        return ""
    first, dot, second, suffix = number.group("first", "dot", "second", "suffix")
    exact = [f"{first}-{suffix}", f"{first}.{second}"]
    if dot == ".":
        exact.insert(0, f"{first}-sp{second}")
    elif not dot and first != "64":
        # The number may be written without its dot, such as 2404, 94 or 810. But 64 means 64 bits.
        exact += [f"{first[:cut]}.{first[cut:]}" for cut in range(1, len(first))]
    unlisted = _UNLISTED.get(family)
    for candidates in (exact, [first]):
        for version in candidates:
            if version in _VERSIONS[family]:
                return version
        for version in candidates:
            if unlisted and unlisted.fullmatch(version):
                return version
    return ""


_VERSIONS = {key: set(entry["versions"]) for key, entry in _DATA.items()}
_UNLISTED = {
    key: re.compile(entry["unlisted"]) for key, entry in _DATA.items() if "unlisted" in entry
}
# Words that name a version: codenames, and keys such as "stable" or "23h2".
_VERSION_WORDS = {
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
# The family of each group in `_MENTION`. A family has one group for its words, and one for its
# vague words. `operating_systems.toml` explains vague words.
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

# Text that may come between a family's name and its version. After any other text, a number belongs
# to something else: "Debian with Postgres 12".
_BETWEEN = re.compile(
    r"""[\s_.,:;/()\[\]-]+
        | (?: gnu|linux|os|server|desktop|datacenter|cloud|base|core|generic|genericcloud|minimal
            | pro|lts|enterprise|edition|release|version|standard|full|english|rtm|container|free
            | stable|beta|dev|alpha|corevm|hvm|pv|vpc|nat|ebs|ssd|uefi|bios|daily|cloudimg|ci
            | priority|preview|basic|test|cis|tdx|snp|sev|hana|sap(?:cal)?|ha|apps|for
            | applications|byos|payg|lvm|raw|hpc|gke|gcp|gce|fips(?:-updates)?|cvm|confidential
            | vm|arm(?!64)|accelerator|v ) (?![a-z])
        | (?: (?:32|64)[ ]?-?bit|64guest|x86[_-]64|amd64|x64|arm64|aarch64|i[36]86
            | (?:amazon)?ec2|gp[23]|gen[12] ) (?![a-z0-9])
        | [0-9]{6} (?=[ ])  # a date before a space, as in "test-200331 8_1"
    """,
    re.VERBOSE,
)

# Matches 24.04, 24_04, 2404, 9, 9.4, 2012-r2, 15-sp6, 7u9.
_NUMBER = re.compile(
    r"""(?P<first>[0-9]{1,4})
    (?: (?P<dot>[._-]) (?P<second>[0-9]{1,2}) (?=lts|snappy|[^a-z0-9]|$) )?
    (?: [ ._-]? (?P<suffix>r2|sp[0-9]) | u[0-9]{1,2} )?""",
    re.VERBOSE,
)
_DATE = re.compile(r"[0-9]{4}[._-][0-9]{2}[._-][0-9]{2}(?![0-9])")
# A number is not a version if one of these follows: another digit, most letters, a plus sign, "/5"
# as in "4/5", or "or later".
_NOT_AFTER = re.compile(
    r"""[0-9] | \s*/\s*[0-9] | \s*\+ | [ ]or[ ](?:later|newer|above|higher)
    | (?!lts|snappy|lvm|raw|byos|srv|server|guest|base|dc|sap|gen[12]|x64)[a-z]""",
    re.VERBOSE,
)
