"""Parse the text of the search box into a `Query`, and write a query as text.

This module never queries the database. `webapp.search.conditions` translates terms into SQL, and
`webapp.search.stored_values` finds the values that images have.

A search consists of terms, separated by spaces. A term is a word or `key:value`. Quotes keep
several words together in one term. For each key in a search, an image must match at least one term
with this key: for example, `cloud:aws cloud:gce os:ubuntu` finds the Ubuntu images of AWS and of
Google Cloud. Words, `id`, `size` and `created` are stricter: an image must match every one of these
terms. A leading minus excludes images: `-cloud:aws` finds the images of all other clouds.
"""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from difflib import get_close_matches
from functools import lru_cache

from models import Level, LifeCycle
from schema.search_text import indexed_text, is_wide
from schema.text import comparable
from webapp.clouds import CLOUDS, clouds_for_image_id
from webapp.clouds.base import ImageState
from webapp.images import operating_systems
from webapp.refusals import Refusal

MAX_TERMS = 20
MAX_TEXT_LENGTH = 500
"""The most characters of a search. Any text after them becomes a problem of the query."""
MAX_OS_FAMILY_LENGTH = 64
"""The most characters that the column `os_family` can hold."""
SHORT_TEXT_LENGTH = 60
"""The most characters of a piece of the search that a message quotes. See `_shorten`."""
MIN_WORD_LENGTH = 3
"""The fewest characters of a word. A word can be shorter if it contains a character that can be a
word by itself, such as a Chinese character. See `schema.search_text`."""


class Key(enum.StrEnum):
    """The property of an image that a term refers to."""

    WORD = "word"
    """A term without a key: matches any part of the name, cloud image ID or description."""
    CLOUD = "cloud"
    LOCATION = "location"
    OS = "os"
    SCOPE = "scope"
    OWNER = "owner"
    SHARED = "shared"
    AGENT = "agent"
    ARCH = "arch"
    STATUS = "status"
    VERIFIED = "verified"
    SIZE = "size"
    CREATED = "created"
    BY = "by"
    ID = "id"


KEYS = [key for key in Key if key is not Key.WORD]
"""The keys that a person can type before a colon. The interface calls `key:` a token."""
KEY_LABELS = {
    Key.CLOUD: "Cloud",
    Key.LOCATION: "Location",
    Key.OS: "OS",
    Key.SCOPE: "Scope",
    Key.ARCH: "Architecture",
    Key.STATUS: "Status",
    Key.BY: "Registered by",
    Key.ID: "ID contains",
}
"""The terms of these keys have labels such as “Cloud: AWS”. See `_phrase` for the other labels."""
YES_NO = {"yes": "yes", "y": "yes", "true": "yes", "no": "no", "n": "no", "false": "no"}
OWNERS = {"here": "here", "me": "here", "own": "here", "above": "above", "inherited": "above"}
STATUSES = dict.fromkeys([*map(str, LifeCycle), *(state.token for state in ImageState)])
FIXED_VALUES = {
    Key.SCOPE: {str(level): str(level) for level in Level},
    Key.OWNER: OWNERS,
    Key.SHARED: YES_NO,
    Key.AGENT: YES_NO,
    Key.VERIFIED: YES_NO,
    Key.STATUS: {status: status for status in STATUSES}
    | dict.fromkeys(("unknown", "not checked", "unverified"), ImageState.UNKNOWN.token),
}
"""The keys that accept only certain values. For each key, the accepted spellings are mapped to
canonical values. For example, "inherited" is a spelling of "above"."""
STORED_KEYS = (Key.CLOUD, Key.LOCATION, Key.OS, Key.ARCH)
"""The keys that accept any value that an image has. A term with such a value finds exactly the
images with this value, even if the text has another meaning too. For example, a person can register
an image with the OS family "Oracle Solaris", although "oracle" is also the name of Oracle Linux."""
FIXED_VALUE_PHRASES = {
    Key.OWNER: {"here": "owned here", "above": "inherited"},
    Key.SHARED: {"yes": "shared", "no": "not shared"},
    Key.AGENT: {"yes": "with agent", "no": "without agent"},
    Key.VERIFIED: {"yes": "checked", "no": "not checked"},
}
ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}
"""Other names of architectures, mapped to their canonical names."""
DATE_OPERATORS = {
    "<": "before",
    "<=": "on or before",
    ">": "after",
    ">=": "on or after",
    "": "on",
}
_OS_FAMILY_NAMES = sorted(
    (
        (name, family)
        for family in operating_systems.FAMILIES.values()
        for name in {family.key, family.label.lower()}
    ),
    key=lambda entry: -len(entry[0]),
)
"""The lower-case names of each OS family, with the family. The longest name comes first, so that
"Rocky Linux 9" is not parsed as version "Linux 9" of "rocky"."""
StoredValues = Callable[[Key, Sequence[str]], Collection[tuple[str, ...]]]
"""Returns the values of a key of `STORED_KEYS` that begin with one of the texts. A value is a
tuple: a family and a version for `os`, and one text for the other keys."""
_PIECE = re.compile(r'(?:"(?:\\.|[^"\\])*(?:"|\\?\Z)|[^\s"])+', re.DOTALL)
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)(?:"|\\?\Z)', re.DOTALL)
_KEY_AND_VALUE = re.compile(r"([A-Za-z]+):(?!//)(.*)", re.DOTALL)
"""Does not match a URL such as https://…, which is a word."""
_MISTYPED_TERM = re.compile(r"[-(\s]*([A-Za-z]+)\s*[:=：]\s*(?!//)(.*)", re.DOTALL)
"""Matches a word that begins like a term, for example "(status:active)" or "status=active"."""
_COMPARISON = re.compile(r"(<=|>=|<|>|)(.*)", re.DOTALL)
_ID_LABEL = re.compile(
    r"(?:source|image)?(?:ami|image)?(?:id|ref)?|urn(?:uuid)?|uuid|vcuuid|instanceuuid"
)
"""The labels that tools print before an image ID, without punctuation, such as `imageid`."""
_UNQUOTED = re.compile(r'[^\s"]+')


@dataclass(frozen=True)
class Term:
    """One condition of a search.

    `operator` compares sizes and dates, for example ">". It is '' for equality, and for other keys.
    `stored` is the value in the database that `value` equals: a family, or a family and a version,
    for `os`, and one text for the other keys of `STORED_KEYS`. It is () if no image has the value.
    """

    key: Key
    value: str
    excluded: bool = False
    operator: str = ""
    stored: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        """Return the term as a person types it."""
        minus = "-" if self.excluded else ""
        if self.key is Key.WORD:
            return minus + _quote(self.value, always=_needs_quotes(self.value))
        return f"{minus}{self.key}:{self.operator}{_quote(self.value)}"

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, in lower case, of which an image must contain at least one.

        For a word and for `id`, this is the value, and the cloud image ID that the value spells.
        """
        if self.key not in {Key.WORD, Key.ID}:
            return ()
        text = self.value.lower()
        if self.key is Key.WORD:
            text = indexed_text(text)
        return tuple(dict.fromkeys((text, *spelled_image_ids(self.value))))

    @property
    def is_listed(self) -> bool:
        """Whether the value is an OS or an architecture that the registry knows by name."""
        if self.key is Key.ARCH:
            return self.value in ARCHITECTURES.values()
        family, version = _split_os(self.value)
        known = operating_systems.FAMILIES.get(family) if self.key is Key.OS else None
        return known is not None and version in {"", *(each.key for each in known.versions)}

    @property
    def label(self) -> str:
        """Return the term as a phrase for people, such as “Cloud: AWS” or “Not shared”."""
        if self.excluded and FIXED_VALUES.get(self.key) is YES_NO:
            opposite_value = "no" if self.value == "yes" else "yes"
            return replace(self, value=opposite_value, excluded=False).label
        phrase = ("not " if self.excluded else "") + _phrase(self)
        return phrase[0].upper() + phrase[1:]

    @property
    def short_label(self) -> str:
        """Return the label without its key if the value alone is clear, for example “AWS”."""
        if self.excluded or self.key not in KEY_LABELS:
            return self.label
        return self.value_label

    @property
    def value_label(self) -> str:
        """Return the name of the value in the interface, such as "This scope" for `owner:here`."""
        key, value = self.key, self.value
        if key is Key.CLOUD:
            return CLOUDS[value].label if value in CLOUDS else value
        if key is Key.OS:
            return operating_systems.label(*(self.stored or _split_os(value)))
        if key is Key.OWNER:
            return "This scope" if value == "here" else "Scopes above"
        return value.replace("-", " ").capitalize() if key in FIXED_VALUES else value


@dataclass(frozen=True)
class Problem:
    """A piece of the text that could not be parsed, and a message that explains why."""

    text: str
    message: str


@dataclass(frozen=True)
class Query:
    """A parsed search. `text` is the typed text with single spaces between terms."""

    terms: tuple[Term, ...]
    problems: tuple[Problem, ...]
    text: str

    def __str__(self) -> str:
        """Return the terms as text. Pieces that could not be parsed are left out."""
        return " ".join(map(str, self.terms))

    def __bool__(self) -> bool:
        return bool(self.terms)

    def require_understood(self) -> None:
        """Raise NotUnderstood if a part of the text could not be parsed."""
        if self.problems:
            raise NotUnderstood(self)

    def terms_for(self, key: Key) -> tuple[Term, ...]:
        return tuple(term for term in self.terms if term.key is key)

    @property
    def words(self) -> tuple[Term, ...]:
        return self.terms_for(Key.WORD)

    def without_term(self, removed: Term) -> Query:
        return self._with_terms(term for term in self.terms if term != removed)

    def with_term(self, added: Term) -> Query:
        """Return the query with `added` at the end and without its opposite."""
        opposite = replace(added, excluded=not added.excluded)
        others = (term for term in self.terms if term not in {added, opposite})
        return self._with_terms([*others, added])

    def with_term_toggled(self, term: Term) -> Query:
        return self.without_term(term) if term in self.terms else self.with_term(term)

    def with_problem(self, term: Term, message: str) -> Query:
        """Return a query with the same text in which `term` is a problem."""
        terms = tuple(other for other in self.terms if other != term)
        return replace(self, terms=terms, problems=(*self.problems, Problem(str(term), message)))

    def _with_terms(self, terms: Iterable[Term]) -> Query:
        """Return a query with these terms.

        Pieces that could not be parsed stay in the text, so that the person can correct them.
        """
        terms = tuple(terms)
        texts = (*map(str, terms), *(problem.text for problem in self.problems))
        return Query(terms, self.problems, " ".join(texts))


EVERYTHING = Query((), (), "")
"""The query without terms, which matches every image."""


class InvalidValue(Refusal):
    """A person typed a value that the key does not accept."""


class NotUnderstood(Refusal):
    """A part of a search could not be parsed, so the other terms find more than the person meant.

    Such a search may show images, but it must not select the images of an action or an export.
    """

    def __init__(self, query: Query) -> None:
        self.query = query
        pieces = ", ".join(f"“{_shorten(problem.text)}”" for problem in query.problems)
        super().__init__(
            f"A part of your search can’t be used: {pieces}. Correct or remove it first. Without "
            "it, the search finds more images than you meant."
        )


def _no_stored_values(_key: Key, _texts: Sequence[str]) -> Collection[tuple[str, ...]]:
    return ()


def parse(text: str, stored_values: StoredValues = _no_stored_values) -> Query:
    """Return the query that `text` describes.

    Any text can be parsed: a piece that is not a valid term becomes a problem of the query. So does
    the text after `MAX_TEXT_LENGTH` characters. To parse the text of a person, call
    `webapp.search.catalogue.parse_search`, which passes the values of the visible images.
    """
    terms: dict[Term, None] = {}
    problems: dict[Problem, None] = {}
    if image_id := _only_image_id(text):
        return Query((Term(Key.WORD, image_id),), (), " ".join(text.split()))
    pieces: list[str] = []
    length = -1
    for match in find_pieces(text):
        piece = match[0]
        length += 1 + len(piece)
        if length > MAX_TEXT_LENGTH:
            piece = text[match.start() :].strip()
            problems[Problem(piece, _too_long_message(piece))] = None
            pieces.append(piece)
            break
        pieces.append(piece)
        parsed = _parse_piece(piece, stored_values)
        if isinstance(parsed, Problem):
            problems[parsed] = None
        elif len(terms) < MAX_TERMS:
            terms[parsed] = None
        elif parsed not in terms:
            problems[Problem(piece, _too_many_terms_message(piece))] = None
    return Query(tuple(terms), tuple(problems), " ".join(pieces))


def find_pieces(text: str) -> Iterator[re.Match[str]]:
    """Return a match for each piece of `text`.

    Spaces outside quotes separate pieces. Each piece becomes one term or one problem.
    """
    return _PIECE.finditer(text)


def _parse_piece(piece: str, stored_values: StoredValues) -> Term | Problem:
    excluded = piece.startswith("-") and len(piece) > 1
    included = piece[1:] if excluded else piece
    match = _KEY_AND_VALUE.fullmatch(included)
    if match is None or _is_image_id(included):
        return _parse_word(piece, _unquote(included), excluded=excluded)
    name, value = match[1].lower(), match[2]
    if name not in KEYS:
        return Problem(piece, _unknown_key_message(name, included))
    key = Key(name)
    operator = ""
    if key in {Key.SIZE, Key.CREATED}:
        operator, value = _COMPARISON.fullmatch(value).groups()  # type: ignore[union-attr]
    value = _unquote(value)
    for text in dict.fromkeys((value, value.strip(), comparable(value).strip())):
        if stored := _find_stored(key, text, stored_values):
            return Term(key, text, excluded, stored=stored)
    if key not in {Key.LOCATION, Key.ARCH}:  # These values are stored as the cloud writes them.
        value = comparable(value)
    value = value.strip()
    if not value:
        return Problem(piece, f"“{piece}” needs a value, for example {_example_term(key)}.")
    try:
        return Term(key, _canonical_value(key, value), excluded, operator)
    except InvalidValue as error:
        return Problem(piece, error.message)


def _find_stored(key: Key, text: str, stored_values: StoredValues) -> tuple[str, ...]:
    """Return the stored value that `text` equals, or ().

    If `text` can have only one meaning, this function does not search the database, to save time.
    """
    if key is Key.OS:
        return _find_stored_os(text, stored_values)
    canonical = {
        Key.CLOUD: text in CLOUDS,
        Key.LOCATION: text == text.lower().strip(),
        Key.ARCH: text == text.lower().strip() and text not in ARCHITECTURES,
    }
    if canonical.get(key, True):
        return ()
    return (text,) if (text,) in stored_values(key, [text]) else ()


def _find_stored_os(text: str, stored_values: StoredValues) -> tuple[str, ...]:
    """Return the stored family, or family and version, that `text` equals, or ().

    If `text` is the name of a stored family, it means this family. Otherwise, `text` means the
    longest stored family that it begins with, followed by a version. The version can be any text.
    But if `text` also begins with a name in the operating system data that is at least as long as
    the family, some image must have the family with this version.
    """
    if text in operating_systems.FAMILIES:
        return (text,)
    families = _possible_families(text)
    found = set(stored_values(Key.OS, families)) if families else set()
    stored_families = {family for family, _version in found}
    if text in stored_families:
        return (text,)
    known_name = max((len(name) for name, _ in _OS_FAMILY_NAMES if _begins(text, name)), default=0)
    for family in sorted(stored_families, key=len, reverse=True):
        version = text[len(family) + 1 :]
        if (family, version) in found or len(family) > known_name:
            return (family, version)
    return ()


def _possible_families(text: str) -> list[str]:
    """Return the parts of `text` that are short enough to be a stored family.

    These are the text before each space, and the whole text.
    """
    ends = [match.start() for match in re.finditer(" ", text)]
    return [text[:end] for end in (*ends, len(text)) if 0 < end <= MAX_OS_FAMILY_LENGTH]


def _begins(text: str, name: str) -> bool:
    return text.lower().startswith(f"{name} ")


def _is_image_id(text: str) -> bool:
    """Return whether a text with a colon is an image ID.

    For example, `Canonical:ubuntu-24_04-lts:server:latest` is an image ID of Azure. A text that
    begins with a key is never an image ID, although an Azure publisher could be named "os".
    """
    return text.partition(":")[0].lower() not in KEYS and bool(clouds_for_image_id(text))


@lru_cache(maxsize=1024)
def spelled_image_ids(text: str) -> tuple[str, ...]:
    """Return the cloud image IDs that `text` spells, in lower case. Usually there is none or one.

    If `text` contains spaces, it must consist of the ID and a label, such as `ami = "ami-…"`. Any
    other word would be a separate search term.
    """
    found = {image_id.value.lower() for _, image_id in clouds_for_image_id(text)}
    if any(character.isspace() for character in text):
        found = {
            image_id
            for image_id in found
            if _ID_LABEL.fullmatch(
                _letters_and_digits(text).removesuffix(_letters_and_digits(image_id))
            )
        }
    return tuple(sorted(found))


def _only_image_id(text: str) -> str:
    """Return the image ID that several pieces spell together, such as `50 1e 5a …`, or ''."""
    pieces = [match[0] for match in find_pieces(text[: MAX_TEXT_LENGTH + 1])]
    if len(pieces) < 2 or len(text) > MAX_TEXT_LENGTH:
        return ""
    if any(piece.startswith("-") for piece in pieces):
        return ""
    image_ids = spelled_image_ids(" ".join(pieces))
    return image_ids[0] if len(image_ids) == 1 else ""


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def _parse_word(piece: str, value: str, *, excluded: bool) -> Term | Problem:
    value = comparable(value).strip()
    if (match := _MISTYPED_TERM.match(value)) and not _QUOTED.fullmatch(piece.lstrip("-")):
        key, key_value = match[1].lower(), _unquote(match[2]).rstrip(")")
        if key in KEYS:
            correct = f"{'-' if excluded else ''}{key}:{key_value}"
            return Problem(piece, f"“{piece}” isn’t a search term. Did you mean “{correct}”?")
    if len(value) < MIN_WORD_LENGTH and not any(map(is_wide, value)):
        return Problem(piece, _too_short_message(value or piece))
    return Term(Key.WORD, value, excluded)


def _canonical_value(key: Key, value: str) -> str:
    """Return the value in the spelling that the database uses. Raises InvalidValue."""
    if key in FIXED_VALUES:
        return _choose_value(key, value, FIXED_VALUES[key])
    parsers = {
        Key.CLOUD: _parse_cloud,
        Key.OS: _parse_os,
        Key.ARCH: lambda text: ARCHITECTURES.get(text.lower(), text.lower()),
        Key.SIZE: _parse_size,
        Key.CREATED: _parse_date,
        Key.BY: lambda text: "me" if text.lower() == "me" else text,
        Key.ID: _parse_id,
    }
    return parsers.get(key, str)(value)


def _choose_value(key: Key, value: str, choices: dict[str, str]) -> str:
    """Return the canonical value. Raises InvalidValue.

    `choices` maps lower-case spellings to canonical values.
    """
    chosen = choices.get(value.lower())
    if chosen is None:
        accepted = ", ".join(dict.fromkeys(choices.values()))
        raise InvalidValue(f"“{value}” isn’t a valid value for “{key}:”. Use one of: {accepted}.")
    return chosen


def _parse_cloud(value: str) -> str:
    by_label = {cloud.label.lower(): key for key, cloud in CLOUDS.items()}
    return _choose_value(Key.CLOUD, value, {key: key for key in CLOUDS} | by_label)


def _parse_os(value: str) -> str:
    """Return a family, or a family and a version, such as 'ubuntu 24.04'.

    A name in the operating system data is replaced by its key: "Rocky Linux 9" becomes "rocky 9".
    Any other text is returned unchanged.
    """
    text = value.lower()
    for name, family in _OS_FAMILY_NAMES:
        if text == name:
            return family.key
        if text.startswith(f"{name} "):
            return f"{family.key} {_parse_os_version(family, value[len(name) :].strip())}"
    # A single word, such as the code name "noble", identifies a version if it is in only one label.
    matches = {
        f"{family.key} {version.key}"
        for family in operating_systems.FAMILIES.values()
        for version in family.versions
        if text in version.label.lower().split()
    }
    return matches.pop() if len(matches) == 1 else value


def _parse_os_version(family: operating_systems.Family, text: str) -> str:
    keys = {version.label.lower(): version.key for version in family.versions}
    keys |= {version.key.lower(): version.key for version in family.versions}
    if text.lower() in keys:
        return keys[text.lower()]
    containing = {key for label, key in keys.items() if text.lower() in label.split()}
    return containing.pop() if len(containing) == 1 else text


def _parse_size(value: str) -> str:
    digits = value.lower().removesuffix("gb").strip()
    if not (digits.isascii() and digits.isdecimal()) or not 0 < int(digits) < 2**31:
        raise InvalidValue(
            f"“{value}” isn’t a valid size. Use whole GB, for example {_example_term(Key.SIZE)}."
        )
    return str(int(digits))


def _parse_date(value: str) -> str:
    with contextlib.suppress(ValueError):
        # `fromisoformat` also accepts week dates, and dates without hyphens.
        if date.fromisoformat(value).isoformat() == value:
            return value
    raise InvalidValue(
        f"“{value}” isn’t a valid date. Use YYYY-MM-DD, for example {_example_term(Key.CREATED)}."
    )


def _parse_id(value: str) -> str:
    if len(value) < MIN_WORD_LENGTH:
        raise InvalidValue(_too_short_message(value))
    return value


def _too_short_message(value: str) -> str:
    return f"“{value}” is too short. Type at least {MIN_WORD_LENGTH} characters."


def _too_long_message(rest: str) -> str:
    return (
        f"A search can have at most {MAX_TEXT_LENGTH} characters. The text from “{_shorten(rest)}” "
        "on was ignored. Shorten your search."
    )


def _too_many_terms_message(piece: str) -> str:
    return (
        f"“{piece}” was ignored because a search can have at most {MAX_TERMS} terms. "
        "Remove another term first."
    )


def _unknown_key_message(name: str, text: str) -> str:
    similar = get_close_matches(name, KEYS, n=1, cutoff=0.5)
    suggestion = f" Did you mean “{similar[0]}:”?" if similar else ""
    return (
        f"“{name}:” isn’t a search token.{suggestion} Available tokens: {', '.join(KEYS)}. "
        f"To search for the text itself, put it in quotes: {_quote(text, always=True)}"
    )


def _example_term(key: Key) -> str:
    examples = {
        Key.CLOUD: f"cloud:{next(iter(CLOUDS))}",
        Key.LOCATION: "location:us-east-1",
        Key.OS: 'os:"ubuntu 24.04"',
        Key.ARCH: "arch:arm64",
        Key.SIZE: "size:>30",
        Key.CREATED: "created:<2026-01-01",
        Key.BY: "by:me",
        Key.ID: "id:0abc",
    }
    return examples.get(key) or f"{key}:{next(iter(FIXED_VALUES[key]))}"


def _phrase(term: Term) -> str:
    """Return the label of a term, without "not". The first letter may be a small letter."""
    key, value = term.key, term.value
    if key is Key.WORD:
        return f"“{value}”"
    if key in FIXED_VALUE_PHRASES:
        return FIXED_VALUE_PHRASES[key][value]
    if key is Key.SIZE:
        return f"size {term.operator or '='} {value} GB"
    if key is Key.CREATED:
        return f"registered {DATE_OPERATORS[term.operator]} {value} (UTC)"
    return f"{KEY_LABELS[key]}: {term.value_label}"


def _split_os(value: str) -> tuple[str, str]:
    family, _, version = value.partition(" ")
    return (family, version) if family in operating_systems.FAMILIES else (value, "")


def _shorten(text: str) -> str:
    return text if len(text) <= SHORT_TEXT_LENGTH else f"{text[:SHORT_TEXT_LENGTH]}…"


def _unquote(piece: str) -> str:
    return _QUOTED.sub(lambda match: re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), piece)


def _quote(value: str, *, always: bool = False) -> str:
    if not always and _UNQUOTED.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _needs_quotes(word: str) -> bool:
    """Return whether a word without quotes would not be parsed as the same word."""
    has_key = _KEY_AND_VALUE.fullmatch(word) is not None and not _is_image_id(word)
    return word.startswith("-") or has_key
