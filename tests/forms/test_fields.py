"""The types of fields: every form uses them, and they check what a person sends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from flask import Flask
from flask_wtf.file import FileField
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, Field, Form
from wtforms.csrf.core import CSRFTokenField
from wtforms.fields.core import UnboundField
from wtforms.validators import InputRequired

from models import CloudCredentials
from tests.views.hostile import form_classes
from webapp.clouds import CLOUDS
from webapp.forms import fields
from webapp.forms.credentials import credentials_form
from webapp.forms.new_image import SelectImageForm
from webapp.forms.transfer import make_import_form
from webapp.values.text import LineRule

CHECKED_ELSEWHERE = (BooleanField, FileField, CSRFTokenField)
"""Types of libraries that accept nothing that could be wrong, or whose content a use case reads."""


def field_types() -> Iterator[tuple[str, type[Field]]]:
    """Yield the name and the type of each field of all forms, also of those built on request."""
    for form in form_classes():
        for name in dir(form):
            field = getattr(form, name)
            if isinstance(field, UnboundField):
                yield f"{form.__name__}.{name}", field.field_class
    for cloud in CLOUDS.values():
        stored = CloudCredentials(cloud=cloud.key, name="x", settings={}, revision=1)
        usable = [CloudCredentials(id=1, cloud=cloud.key, name="x")]
        for form in (
            credentials_form(cloud, stored),
            SelectImageForm.for_cloud(cloud, [], MultiDict()),
            make_import_form(usable),
        ):
            yield from ((f"{cloud.key}.{field.name}", type(field)) for field in form)


def test_every_field_of_every_form_has_a_type_that_checks_its_input(app: Flask) -> None:
    with app.test_request_context():
        found = dict(field_types())
    assert len(found) > 60
    unchecked = [
        name
        for name, type_ in found.items()
        if not type_.__module__.startswith("webapp.forms.")
        and not issubclass(type_, CHECKED_ELSEWHERE)
    ]
    assert not unchecked


class Example(Form):
    number = fields.WholeNumber("Number", 1, 2**31 - 1, "Enter a number.")
    day = fields.Day("Day")
    email = fields.EmailAddress("E-mail")
    url = fields.ServerUrl("Endpoint URL")
    record = fields.RecordChoice("Record", choices={"": "None", "7": "seven"}, default="")
    records = fields.RecordIds()
    choice = fields.Choice("Choice", choices={"a": "A"}, default="a")
    hidden = fields.HiddenText(10)
    secret = fields.Secret("Secret", 10)


@pytest.mark.parametrize(
    ("name", "texts", "data"),
    [
        ("number", ["2147483647"], 2**31 - 1),
        ("number", [" 12 "], 12),
        ("number", [""], None),
        ("day", ["2026-01-31"], date(2026, 1, 31)),
        ("day", [""], None),
        ("email", [" a@example.com "], "a@example.com"),
        ("url", ["https://bücher.example"], "https://xn--bcher-kva.example"),
        ("record", ["7"], 7),
        ("record", [""], 0),
        ("records", ["3", "x", "3", "9" * 30, "-1", "٣", "0", "4"], [3, 4]),
    ],
)
def test_a_valid_value_is_converted(name: str, texts: list[str], data: object) -> None:
    form = Example(MultiDict([("choice", "a"), *((name, text) for text in texts)]))
    assert form.validate(), form.errors
    assert form[name].data == data


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        *(
            ("number", text, "Enter a number.")
            for text in ("0", "2147483648", "9" * 5000, "²", "1e3")
        ),
        ("day", "0027-01-01", "Check the year 0027"),
        ("day", "tomorrow", "YYYY-MM-DD"),
        ("email", "nobody", "valid e-mail"),
        ("email", f"{'a' * 260}@example.com", "at most 254"),
        ("url", "https://example.com:99999", "65535"),
        ("record", "8", "from the list"),
        ("record", "9" * 30, "from the list"),
        ("choice", "b", "from the list"),
        ("hidden", "x" * 11, "at most 10"),
        ("secret", "x" * 11, "at most 10"),
    ],
)
def test_an_invalid_value_is_refused_and_shown_again(name: str, text: str, words: str) -> None:
    form = Example(MultiDict({"choice": "a", name: text}))
    assert not form.validate()
    assert words in " ".join(form.errors[name])
    if name in {"number", "day", "email", "url"}:
        assert text in form[name]()


@pytest.mark.parametrize("text", ["", " ", "\t", "\u3000"])
@pytest.mark.parametrize("name", ["name", "number", "day", "url", "hidden"])
def test_blanks_do_not_fill_a_required_field(name: str, text: str) -> None:
    class Required(Form):
        pass

    types = {
        "name": fields.TextLine("Name", LineRule("name", 9), [InputRequired("Enter it.")]),
        "number": fields.WholeNumber("Number", 0, 9, "", [InputRequired("Enter it.")]),
        "day": fields.Day("Day", [InputRequired("Enter it.")]),
        "url": fields.ServerUrl("URL", [InputRequired("Enter it.")]),
        "hidden": fields.HiddenText(9, validators=[InputRequired("Enter it.")]),
    }
    setattr(Required, name, types[name])
    form = Required(MultiDict({name: text}))
    assert not form.validate()
    assert form.errors == {name: ["Enter it."]}


def test_zero_fills_a_required_number() -> None:
    class Required(Form):
        number = fields.WholeNumber("Number", 0, 9, "", [InputRequired("Enter it.")])

    assert Required(MultiDict({"number": "0"})).validate()
