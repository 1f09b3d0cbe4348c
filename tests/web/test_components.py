"""Components: the rows of the Images page show every column, and escape every text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from flask import Flask, render_template

from webapp.audit import SECRET, field_label
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.people.preferences import COLUMNS, REQUIRED_COLUMN
from webapp.search.rows import ListedImage
from webapp.web.components import RowOptions, field_value, image_rows

HOSTILE = "<b>\"'&"
ESCAPED = "&lt;b&gt;&#34;&#39;&amp;"
IMAGE = ListedImage(
    scope_id=1,
    level="account",
    owner=f"Account {HOSTILE}",
    owner_path=f"path {HOSTILE}",
    shared=True,
    registered_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    checked_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    tags=[f"tag {HOSTILE}"],
    id=7,
    name=f"name {HOSTILE}",
    cloud=next(iter(CLOUDS)),
    location=f"location {HOSTILE}",
    cloud_image_id=f"id {HOSTILE}",
    os_family=f"family {HOSTILE}",
    os_version=f"version {HOSTILE}",
    size_gb=8,
    agent_installed=True,
    architecture=f"architecture {HOSTILE}",
    state=f"state {HOSTILE}",
    status=f"status {HOSTILE}",
    verified=True,
    check_failed_at=None,
    registered_by_name=f"person {HOSTILE}",
    description=f"description {HOSTILE}",
    compute_resource=f"resource {HOSTILE}",
    revision=1,
)
TEXT_COUNT = 12
"""The number of values of `IMAGE` that contain HOSTILE and that a row shows."""


def options(scope_id: int, *, id_below_name: bool = False) -> RowOptions:
    columns = tuple((key, label) for key, label in COLUMNS.items() if key != REQUIRED_COLUMN)
    return RowOptions(
        columns,
        id_below_name,
        "/images",
        scope_id,
        scope_ids_above=[1],
        selectable=True,
        url_below=lambda level, path: f"/{level}/{path}",
    )


def test_every_text_of_a_row_is_escaped(app: Flask) -> None:
    with app.test_request_context():
        for scope_id in (1, 2):
            html = image_rows([IMAGE], options(scope_id, id_below_name=True))
            assert HOSTILE not in html
            assert "<b>" not in html
            shown = set(re.findall(rf"(\w+) {re.escape(ESCAPED)}", html, re.IGNORECASE))
            assert len({text.lower() for text in shown}) == TEXT_COUNT


def test_a_row_has_a_cell_for_every_column(app: Flask) -> None:
    with app.test_request_context():
        html = image_rows([IMAGE], options(1))
        assert re.findall(r'data-label="([^"]+)"', html) == list(COLUMNS.values())[1:]


def test_only_images_of_the_scope_can_be_selected(app: Flask) -> None:
    with app.test_request_context():
        assert 'type="checkbox"' in image_rows([IMAGE], options(1))
        assert "Inherited" in image_rows([IMAGE], options(2))
        unselectable = options(1)._replace(selectable=False)
        assert 'class="select-cell"' not in image_rows([IMAGE], unselectable)


def test_an_image_of_a_scope_below_links_to_its_owner(app: Flask) -> None:
    with app.test_request_context():
        html = image_rows([IMAGE], options(2)._replace(scope_ids_above=[]))
    assert f'href="/account/path {ESCAPED}/7"' in html
    assert "Owned by a scope below. This image can be changed only at Account" in html
    assert 'type="checkbox"' not in html


def test_unknown_values_have_words(app: Flask) -> None:
    image = IMAGE._replace(
        size_gb=None, architecture="", location="", verified=False, state=ImageState.UNKNOWN
    )
    with app.test_request_context():
        html = image_rows([image], options(1))
    for text in ("—", "All regions", "Not yet read"):
        assert text in html
    assert (html.count("Not checked"), html.count("circle-check")) == (1, 0)
    assert "Last check failed" not in html


def test_a_failed_check_shows_below_the_state(app: Flask) -> None:
    image = IMAGE._replace(check_failed_at=datetime(2026, 1, 2, tzinfo=UTC))
    with app.test_request_context():
        assert "Last check failed" in image_rows([image], options(1))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("os_version", "OS version"),
        ("size_gb", "Size (GB)"),
        ("cloud_image_id", "Cloud image ID"),
        ("endpoint_url", "Endpoint URL"),
        ("name", "Name"),
        ("Hyper-V generation", "Hyper-V generation"),
        ("Name in the cloud", "Name in the cloud"),
    ],
)
def test_labels_of_changed_fields(name: str, label: str) -> None:
    assert field_label(name) == label


def test_values_of_changed_fields() -> None:
    shown = [field_value("name", value) for value in (True, False, 8, "yes", "2026-01-02")]
    assert shown == ["Yes", "No", 8, "yes", "2026-01-02"]
    assert field_value("networks", ["192.0.2.0/24", "10.0.0.0/8"]) == "192.0.2.0/24, 10.0.0.0/8"
    assert field_value("Size", 8) == "8 GB"
    assert field_value("State", "gone") == "Gone"
    assert field_value("State", ImageState.UNKNOWN) == "Not checked"
    instant = "2026-01-02T03:04:05+00:00"
    for name in ("Created", "Deprecated"):
        html = str(field_value(name, instant))
        assert html == f'<time datetime="{instant}">2026-01-02 03:04 UTC</time>'
        assert field_value(name, "some day") == "some day"


def test_changes_of_older_entries_leave_out_values_that_did_not_change(app: Flask) -> None:
    changes = {
        "size_gb": [None, None],
        "shared": [True, True],
        "password": [SECRET, SECRET],
        "name": ["old", "new"],
    }
    with app.test_request_context():
        html = render_template("layout/_changes.html", changes=changes)
    assert re.findall("<dt>(.*)</dt>", html) == ["Password", "Name"]
    assert html.count("changed") == 1
