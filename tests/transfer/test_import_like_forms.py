"""An import accepts and refuses the same values as the forms, and for the same reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import pytest
from flask import Flask
from werkzeug.datastructures import MultiDict

from tests.conftest import MakeCredentials
from tests.transfer.conftest import PlanImport, line
from tests.transfer.test_import_plan import only_line, planned_lines
from tests.views.hostile_values import DAYS, NUMBERS, TEXTS
from webapp.forms.base import BaseForm
from webapp.forms.bulk import OperatingSystemForm
from webapp.forms.images import OTHER, ImageForm
from webapp.forms.life_cycle import LifeCycleForm
from webapp.images.life_cycle import STAYS_ACTIVE
from webapp.transfer import import_formats, import_life_cycle, import_lines
from webapp.transfer.import_lines import Answers, ParsedLine

MORE_TEXTS = (
    "two\nlines",
    "gold\u00a0\u3000image",
    "gold\u202edlog",
    "gold\x1b[31m",
    "gold\x85image",
    "gold\x00",
    "gold\ud800",
    "gold\u2069",
    "Cafe\u0301",
    "👩\u200d💻 image",
    "\u200d\u200d",
    "\u2800\u3164",
    "a" * 64,
    "a" * 65,
    "a" * 255,
    " gold ",
)
OS_FIELDS = {"os_family": OTHER, "os_family_other": "Haiku", "os_version": OTHER}


def parse(values: Mapping[str, str]) -> ParsedLine:
    (parsed,) = import_formats.parse_file(json.dumps([{**line(), **values}]).encode()).lines
    return import_lines.parse_line(parsed, Answers(), can_share=True)


@pytest.mark.parametrize(
    ("values", "operating_system", "words"),
    [
        ({"name": "web server"}, ("debian", "13"), ""),
        ({"name": "debian web"}, ("debian", "13"), ""),
        ({"name": "web server", "os_version": "13"}, ("debian", "13"), ""),
        ({"name": "ubuntu 24.04 web"}, ("ubuntu", "24.04"), ""),
        ({"name": "ubuntu web"}, None, "Debian 13 Trixie, doesn’t apply, because the family"),
        (
            {"os_family": "Haiku"},
            None,
            "because the family of this image is Haiku. Add os_version,",
        ),
        (
            {"name": "web server", "os_version": "12"},
            None,
            "because the version of this image is 12. Add os_family,",
        ),
    ],
)
def test_an_entered_operating_system_contradicts_nothing_that_is_known(
    values: Mapping[str, str], operating_system: tuple[str, str] | None, words: str
) -> None:
    parsed = parse({"name": "web", **values}).values
    assert parsed
    new = import_lines.choices_for_new_image(parsed, Answers({}, ("debian", "13")))
    found = new.choices and (new.choices.os_family, new.choices.os_version)
    assert (found, new.lacks_operating_system) == (operating_system, False)
    assert words in " ".join(new.errors)


def form_result(
    app: Flask, form_class: type[BaseForm], fields: Mapping[str, str], name: str
) -> tuple[object, list[str]]:
    """Return the value of a field of a form, and its errors."""
    with app.test_request_context():
        form = form_class(formdata=MultiDict(fields))
        form.validate()
        return form[name].data, list(form[name].errors)


def require_same(
    stored: object, errors: Iterable[str], result: object, problems: Iterable[str]
) -> None:
    """Check that a form and an import return the same value and the same errors."""
    if errors and any(problems):
        (error,) = errors
        assert any(error in problem for problem in problems)
    elif result:
        assert (stored, list(errors), list(problems)) == (result, [], [])
    else:
        # An empty column is not an error. A form may require a value.
        assert not list(problems)
        assert errors or not stored


@pytest.mark.parametrize(
    ("column", "form_class", "field"),
    [
        ("name", ImageForm, "name"),
        ("os_family", ImageForm, "os_family_other"),
        ("os_version", ImageForm, "os_version_other"),
        ("os_family", OperatingSystemForm, "os_family_other"),
        ("os_version", OperatingSystemForm, "os_version_other"),
        ("status_reason", LifeCycleForm, "reason"),
    ],
)
def test_a_text_is_stored_or_refused_as_in_the_form(
    app: Flask, column: str, form_class: type[BaseForm], field: str
) -> None:
    for text in (*TEXTS, *MORE_TEXTS):
        stored, errors = form_result(
            app, form_class, {**OS_FIELDS, "os_version_other": "1", field: text}, field
        )
        values = {column: text, **({"os_family": "Haiku"} if column == "os_version" else {})}
        parsed = parse({**values, **({"status": "retired"} if column == "status_reason" else {})})
        assert parsed.values is not None
        result = parsed.values.choices.get(column)
        if column == "status_reason" and not parsed.errors:
            result = import_life_cycle.resolve(parsed.values.life_cycle, STAYS_ACTIVE).reason
        require_same(stored, errors, result, parsed.errors)


def test_a_size_is_stored_or_refused_as_in_the_form(app: Flask) -> None:
    for text in (*NUMBERS, "8.0", "8 GB", "8.5", "00000000000008", "-8"):
        stored, errors = form_result(app, ImageForm, {"size_gb": text}, "size_gb")
        parsed = parse({"size_gb": text})
        assert parsed.values is not None
        require_same(stored, errors, parsed.values.choices.get("size_gb"), parsed.errors)


@pytest.mark.parametrize("column", ["deprecated_on", "retired_on"])
def test_a_day_is_stored_or_refused_as_in_the_form(app: Flask, column: str) -> None:
    for text in (*DAYS, "2026-01-31", " 2026-1-31 "):
        stored, errors = form_result(app, LifeCycleForm, {"on": text}, "on")
        parsed = parse({column: text})
        assert parsed.values is not None
        columns = parsed.values.life_cycle
        require_same(stored, errors, getattr(columns, column, None), parsed.errors)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"description": "gold\u202edlog"},
            "Remove the invisible character U+202E (right-to-left override) from the description.",
        ),
        ({"description": "\x1b[31m"}, "Remove the control character U+001B from the description."),
        ({"description": "x" * 4097}, "Enter a description of at most 4,096 characters."),
        ({"architecture": "\x07"}, "Remove the control character U+0007 from the architecture."),
        ({"architecture": "a\nb"}, "Enter the architecture as one line of text."),
        ({"architecture": "x" * 33}, "Enter an architecture of at most 32 characters."),
        (
            {"cloud": "openstack", "location": "Region\x1bOne"},
            "Remove the control character U+001B from the location.",
        ),
        (
            {"cloud": "vmware", "location": "DC0", "compute_resource": "Cluster\u202e"},
            (
                "Remove the invisible character U+202E (right-to-left override) from the compute "
                "resource."
            ),
        ),
    ],
)
def test_a_text_without_a_form_follows_the_same_rules(values: dict[str, str], message: str) -> None:
    if "cloud" in values:
        values = {"cloud_image_id": "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b", **values}
    assert any(error.startswith(message) for error in parse(values).errors)


def test_blanks_and_composed_letters_do_not_matter_in_a_column_that_names_something(
    plan: PlanImport, make_credentials: MakeCredentials
) -> None:
    credentials = make_credentials("acme", "Café prod")
    planned = only_line(plan(line(credentials="Cafe\u0301\u00a0prod")))
    assert (planned.errors, planned.credentials_id) == ([], credentials.id)
    system = {"os_family": "ubuntu", "os_version": "24.04"}
    job = plan(
        line(1, status="retired", successor="Cafe\u0301\u3000image"),
        line(2, name="Café image", **system),
    )
    first, second = planned_lines(job)
    assert (first.errors, second.errors, second.successor_position) == ([], [], 0)
    lines = plan(line(1, description="two\u00a0words\nand a line", architecture="arm\u200b64"))
    planned = only_line(lines)
    assert (planned.description, planned.architecture) == ("two words\nand a line", "arm64")
