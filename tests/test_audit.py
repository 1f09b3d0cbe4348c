"""Entries of the audit log are small, whatever a cloud or a person sent."""

from __future__ import annotations

import json

from models import AuditEntry
from tests.conftest import MakeImage
from webapp import audit
from webapp.access import Actor


def record(actor: Actor, make_image: MakeImage, changes: audit.Changes) -> dict[str, list[object]]:
    image = make_image()
    audit.record(actor, image.scope, "image.edit", image.name, record=image, changes=changes)
    entry: AuditEntry = AuditEntry.select().order_by(AuditEntry.id.desc()).get()
    return dict(entry.changes)


def test_long_values_are_shortened_and_say_so(editor: Actor, make_image: MakeImage) -> None:
    recorded = record(editor, make_image, {"Description": ("", "x" * 5_000_000)})
    before, after = recorded["Description"]
    assert before == ""
    assert str(after).startswith("x" * 1000 + "… (shortened, ")
    assert len(str(after)) < 1050


def test_many_values_are_shortened_more(editor: Actor, make_image: MakeImage) -> None:
    changes = {f"Fact {number}": ("x" * 1000, "y" * 1000) for number in range(300)}
    recorded = record(editor, make_image, changes)
    assert recorded.keys() == changes.keys()
    assert len(json.dumps(recorded)) < 100_000


def test_different_values_stay_different(editor: Actor, make_image: MakeImage) -> None:
    """Conflicts of edits are found by comparing the values in the audit log."""
    same = "x" * 5000
    recorded = record(
        editor,
        make_image,
        {"Text": (f"{same}1", f"{same}2"), "List": (["a"] * 50, ["a"] * 51)},
    )
    assert recorded["Text"][0] != recorded["Text"][1]
    assert recorded["List"][0] != recorded["List"][1]


def test_values_of_usual_length_are_recorded_unchanged(
    editor: Actor, make_image: MakeImage
) -> None:
    changes = {"Name": ("a" * 1000, "b"), "Size": (None, 8), "List": (["a"], [])}
    recorded = record(editor, make_image, changes)
    assert recorded == {name: list(values) for name, values in changes.items()}
