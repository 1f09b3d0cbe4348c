"""The types of fields that the forms use.

Most types check the characters, the length or the range of the value that a person sends. So forms
use these types instead of the text and number fields of WTForms.
"""

from __future__ import annotations

from typing import Any

from wtforms import (
    Field,
    HiddenField,
    PasswordField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import ValidationError
from wtforms.widgets import DateInput, TextInput

from models import LARGEST_ID
from webapp.images.choices import parse_size
from webapp.refusals import Refusal
from webapp.values.days import parse_day
from webapp.values.emails import parse_email
from webapp.values.tags import MAX_LENGTH, MAX_TAGS, join_tags, parse_tags, split_tags
from webapp.values.text import LineRule, character_problem
from webapp.values.urls import parse_server_url

LONGEST_HIDDEN_TEXT = 2000
"""The default maximum length of a hidden text, in characters."""


class _BlankIsEmpty:
    """A field with only whitespace counts as empty, so that `InputRequired` reports the field."""

    data: Any
    raw_data: Any
    process_errors: Any

    def process(self, *args: Any, **options: Any) -> None:
        super().process(*args, **options)  # type: ignore[misc]
        if self.data in {None, ""} and not self.process_errors and self.raw_data:
            self.raw_data = [""]


class _Text(_BlankIsEmpty):
    """The data is always a text. It is '' if the request does not contain the field."""

    def process(self, *args: Any, **options: Any) -> None:
        super().process(*args, **options)
        self.data = self.data or ""


class TextLine(_Text, StringField):
    """One line of text. `rule` checks and normalizes the text."""

    data: Any

    def __init__(self, label: str, rule: LineRule, *args: Any, **options: Any) -> None:
        super().__init__(label, *args, **options)
        self._rule = rule

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata([text.strip() for text in valuelist])
        if self.data:
            self.data = _parse_text(self._rule.parse, self.data)


class PastedText(_Text, StringField):
    """Text of a limited length, such as an image ID. The characters are not checked."""

    def __init__(
        self, label: str, longest: int, *args: Any, too_long: str = "", **options: Any
    ) -> None:
        super().__init__(label, *args, **options)
        self._longest, self._too_long = longest, too_long

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata([text.strip() for text in valuelist])
        _require_length(self.data, self._longest, self._too_long)


class MultilineText(_Text, TextAreaField):
    """Text of several lines and a limited length, such as a list of certificates.

    If `exact` is true, whitespace at the start and the end stays: a CSV file can begin with a tab.
    """

    def __init__(
        self, label: str, longest: int, *args: Any, exact: bool = False, **options: Any
    ) -> None:
        super().__init__(label, *args, **options)
        self._longest, self._exact = longest, exact

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata([text if self._exact else text.strip() for text in valuelist])
        _require_length(self.data, self._longest)


class SecretMultilineText(MultilineText):
    """A text area that never shows its value, like a PasswordField."""

    def _value(self) -> str:
        return ""


class Secret(_Text, PasswordField):
    """A password or key. It is never shown, and its characters are never changed."""

    def __init__(self, label: str, longest: int, *args: Any, **options: Any) -> None:
        super().__init__(label, *args, **options)
        self._longest = longest

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata(valuelist)
        _require_length(self.data, self._longest)


class HiddenText(_Text, HiddenField):
    """Text that the page itself fills in, such as a path or a signed value."""

    def __init__(self, longest: int = LONGEST_HIDDEN_TEXT, *args: Any, **options: Any) -> None:
        super().__init__(None, *args, **options)
        self._longest = longest

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata([text.strip() for text in valuelist])
        _require_length(self.data, self._longest)


class ServerUrl(_Text, StringField):
    """The http or https URL of a server."""

    data: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata([text.strip() for text in valuelist])
        if self.data:
            self.data = _parse_text(lambda text: parse_server_url(text, self.label.text), self.data)


class EmailAddress(_Text, StringField):
    """An e-mail address. See `webapp.values.emails`."""

    data: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata([text.strip() for text in valuelist])
        if self.data:
            self.data = _parse_text(parse_email, self.data)


class WholeNumber(_BlankIsEmpty, Field):
    """A whole number from `low` to `high`, or None. `message` explains the range.

    The widget is a text field, because an `<input type=number>` hides mistakes: if a person types
    a text that is not a number, the browser sends nothing, or only a part of the text.
    """

    widget = TextInput()
    data: Any

    def __init__(
        self, label: str, low: int, high: int, message: str, *args: Any, **options: Any
    ) -> None:
        super().__init__(label, *args, **options)
        self._low, self._high, self._message = low, high, message

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        self.data = None
        if not text:
            return
        number = parse_number(text)
        if number is None or not self._low <= number <= self._high:
            raise ValueError(self._message)
        self.data = number

    def _value(self) -> str:
        return _text_to_show(self, "" if self.data is None else str(self.data))


class Size(_BlankIsEmpty, Field):
    """A size in GB, or None. See `webapp.images.choices.parse_size`."""

    widget = TextInput()
    data: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        self.data = None
        try:
            self.data = parse_size(text) if text else None
        except Refusal as error:
            raise ValueError(error.message) from error

    def _value(self) -> str:
        return _text_to_show(self, "" if self.data is None else str(self.data))


class Tags(Field):
    """A list of tags, which a person separates by commas. See `webapp.values.tags`."""

    widget = TextInput()
    data: Any

    def process_data(self, value: Any) -> None:
        self.data = value or []

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        self.data = []
        _require_length(text, (MAX_LENGTH + 2) * 2 * MAX_TAGS)
        try:
            self.data = parse_tags(split_tags(text))
        except Refusal as error:
            raise ValueError(error.message) from error

    def _value(self) -> str:
        return _text_to_show(self, join_tags(self.data))


class Day(_BlankIsEmpty, Field):
    """A plausible day, or None. See `webapp.values.days`."""

    widget = DateInput()
    data: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        self.data = None
        try:
            self.data = parse_day(text) if text else None
        except Refusal as error:
            raise ValueError(error.message) from error

    def _value(self) -> str:
        return _text_to_show(self, self.data.isoformat() if self.data else "")


class _ListedOnly:
    """If the chosen value is not in the list, the error message says what to do."""

    label: Any
    data: Any

    def pre_validate(self, form: Any) -> None:
        try:
            super().pre_validate(form)  # type: ignore[misc]
        except ValidationError as error:
            raise ValidationError("Choose a value from the list.") from error


class Choice(_ListedOnly, SelectField):
    """A value from a list."""


class RadioChoice(_ListedOnly, RadioField):
    """A value from a group of radio buttons."""


class MultipleChoice(_ListedOnly, SelectMultipleField):
    """Values from a list."""


class RecordChoice(_ListedOnly, SelectField):
    """The ID of a record, or 0 or None if no record is chosen."""

    data: Any

    def __init__(self, label: str, *args: Any, **options: Any) -> None:
        super().__init__(label, *args, coerce=record_id, **options)

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata(valuelist)
        if valuelist and valuelist[0] and not self.data:
            raise ValueError("Choose a value from the list.")


class RecordIds(Field):
    """The IDs of records. A text that is not an ID is ignored."""

    data: list[int]

    def process_formdata(self, valuelist: list[str]) -> None:
        ids = (record_id(text) for text in valuelist)
        self.data = [number for number in dict.fromkeys(ids) if number]

    def process_data(self, value: Any) -> None:
        self.data = value or []


class SelectedTexts(Field):
    """The values of the ticked checkboxes of a list. Empty and very long values are ignored."""

    data: list[str]

    def __init__(self, longest: int, *args: Any, **options: Any) -> None:
        super().__init__(None, *args, **options)
        self._longest = longest

    def process_formdata(self, valuelist: list[str]) -> None:
        texts = dict.fromkeys(text.strip() for text in valuelist)
        self.data = [text for text in texts if text and len(text) <= self._longest]

    def process_data(self, value: Any) -> None:
        self.data = value or []


class RevisionField(HiddenField):
    """The revision of the record that the page showed. A text that is not a number becomes 0."""

    data: int

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0] if valuelist else ""
        number = parse_number(text) or 0
        self.data = min(max(number, 0), LARGEST_ID)


def parse_number(text: str) -> int | None:
    """Return the whole number in `text`, or None. The digits must be ASCII digits."""
    digits = text.removeprefix("-")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= len(str(LARGEST_ID))
    return int(text) if is_number else None


def record_id(value: Any) -> int:
    """Return the ID that a field contains, or 0 if the value cannot be an ID."""
    number = value if isinstance(value, int) else parse_number(str(value or ""))
    return number if number and 0 < number <= LARGEST_ID else 0


def require_valid_characters(_form: Any, field: Field) -> None:
    """Raise ValidationError if the text contains a character that `character_problem` refuses.

    For example, a control character would break an HTTP header.
    """
    if problem := character_problem(field.data or "", field.label.text):
        raise ValidationError(problem)


def _parse_text(parse: Any, text: str) -> str:
    try:
        parsed: str = parse(text)
    except Refusal as error:
        raise ValueError(error.message) from error
    return parsed


def _require_length(text: str | None, longest: int, message: str = "") -> None:
    if text and len(text) > longest:
        raise ValueError(message or f"Enter at most {longest:,} characters.")


def _text_to_show(field: Field, text: str) -> str:
    """Return what the person typed, so that they can correct it, or `text` if they sent nothing."""
    typed_text = field.raw_data[0] if field.raw_data else None
    return typed_text if isinstance(typed_text, str) else text
