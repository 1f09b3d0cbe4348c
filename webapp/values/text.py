"""The rules for text: which characters it may contain, and how it is stored and compared.

Text is stored in the Unicode normalization form NFC, so that equal texts have equal code points.
Every kind of blank, for example a no-break space, becomes a space. Invisible characters without a
meaning, such as the soft hyphen, are removed, but joiners between letters or emoji stay. Control
characters are refused. Characters such as U+202E, which change the order of other characters, are
refused too.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from schema.text import BLANKS, MAX_MARKS, comparable, has_too_many_marks, without_width
from webapp.refusals import Refusal

_ANY_BLANKS = re.compile(rf"(?:{BLANKS.pattern}|\s)+")
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that change the order in which other characters are shown."""
_CONTROL = re.compile(
    "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u206a-\u206f\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff]"
    "|[\U0001fffe\U0001ffff\U0010fffe\U0010ffff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_VISIBLE = frozenset("LNPS")
"""The first letters of the Unicode categories of characters that can be seen."""


class InvalidText(Refusal):
    """A text breaks a rule, for example because it is too long or contains a control character."""


@dataclass(frozen=True)
class LineRule:
    """The rule for one kind of text in one line, such as the name of an image.

    `noun` names the text in messages. `shortest` and `longest` are the minimum and the maximum
    number of characters. `field` is the name of the input in forms. `refusal` is the exception that
    `parse` raises.
    """

    noun: str
    longest: int
    shortest: int = 0
    field: str = ""
    refusal: type[Refusal] = InvalidText

    def parse(self, text: str) -> str:
        """Return the text as it is stored: in NFC, with single spaces. Raises `refusal`."""
        text = normalized(text)
        if problem := self.problem(text):
            raise self.refusal(problem, self.field)
        return text

    def problem(self, text: str) -> str:
        """Return why a normalized text is refused, or ''."""
        if problem := line_problem(text, self.noun):
            return problem
        if len(text) > self.longest or len(text) < self.shortest:
            limits = f"{self.shortest} to" if self.shortest else "at most"
            return f"Enter {_with_article(self.noun)} of {limits} {self.longest} characters."
        return ""


def parse_lines(text: str, noun: str, longest: int) -> str:
    """Return text of one or several lines as it is stored. Raises InvalidText."""
    text = comparable(text).strip(" \r\n")
    if problem := character_problem(text, noun):
        raise InvalidText(problem)
    if len(text) > longest:
        raise InvalidText(f"Enter {_with_article(noun)} of at most {longest:,} characters.")
    return text


def line_problem(text: str, noun: str) -> str:
    """Return why a text can't be one line of text, or ''. The length is not checked."""
    if problem := character_problem(text, noun):
        return problem
    if "\n" in text or "\r" in text:
        return f"Enter the {noun} as one line of text."
    if text and not any(unicodedata.category(each)[0] in _VISIBLE for each in text):
        return f"The {noun} has only invisible characters. Enter {_with_article(noun)}."
    return ""


def character_problem(text: str, noun: str) -> str:
    """Return why a text is refused because of its characters, or ''. Line breaks are allowed."""
    if has_too_many_marks(text):
        return f"Remove accents from the {noun}. One character can have at most {MAX_MARKS}."
    if text.isprintable():  # No printable character is refused.
        return ""
    if found := _REORDERING.search(text):
        return (
            f"Remove the invisible character {_name(found[0])} from the {noun}. It changes the "
            "order in which the other characters are shown."
        )
    if found := _CONTROL.search(text) or _SURROGATE.search(text):
        return f"Remove the control character {_name(found[0])} from the {noun}."
    return ""


def _without_refused(text: str) -> str:
    """Return the text in NFC, without the characters that `character_problem` refuses."""
    for pattern in (_REORDERING, _CONTROL, _SURROGATE):
        text = pattern.sub("", text)
    text = comparable(_without_extra_marks(without_width(text)))
    return _without_extra_marks(text)  # Normalization replaces some marks with two marks each.


def _without_extra_marks(text: str) -> str:
    """Return the text with at most MAX_MARKS combining characters in a row."""
    if not has_too_many_marks(text):
        return text
    marks, characters = 0, []
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MAX_MARKS:
            characters.append(character)
    return "".join(characters)


def normalized(text: str) -> str:
    """Return the text in NFC, without meaningless invisible characters, and with single spaces.

    Spaces and line breaks at both ends are removed. Characters that are refused stay in the text.
    """
    # Fast path: most texts in an import file need no change.
    is_plain = text.isascii() and text.isprintable() and "  " not in text
    if is_plain and text[:1] != " " and text[-1:] != " ":
        return text
    return " ".join(part for part in comparable(text).strip(" \r\n").split(" ") if part)


def displayable(text: str) -> str:
    """Return a text from a cloud as one line, without the characters that `LineRule` refuses."""
    text = _ANY_BLANKS.sub(" ", text)
    return normalized(_without_refused(text))


def displayable_lines(text: str) -> str:
    """Return a text from a cloud without the characters that `parse_lines` refuses."""
    return _without_refused(text).strip(" \r\n")


def replace_control_characters(text: str) -> str:
    """Return the text with U+FFFD for each control, reordering or surrogate character.

    A control character that separates words, such as a tab, becomes a space instead. No character
    is removed, because a search for the remaining text could find more than the person meant.
    """
    text = re.sub(r"[\t\x0b\x0c\x1c-\x1f\x85]", " ", text)
    for pattern in (_REORDERING, _CONTROL, _SURROGATE):
        text = pattern.sub("\ufffd", text)
    return text


def is_encodable(text: str) -> bool:
    """Return whether the text can be stored: it has no NUL and no half of a surrogate pair."""
    return "\x00" not in text and _SURROGATE.search(text) is None


def _with_article(noun: str) -> str:
    return f"{'an' if noun[:1] in set('aeio') else 'a'} {noun}"


def _name(character: str) -> str:
    """Return the code point of a character, and its name if it has one."""
    name = unicodedata.name(character, "").lower()
    return f"U+{ord(character):04X}{f' ({name})' if name else ''}"
