"""The page that shows both versions of a record that was changed while a person edited it.

Another person may have changed the record, or the same person in another tab. For each field that
differs, the person chooses the stored version or the entered version. The page contains both
versions as encrypted text, so nothing that the person typed is lost, and nobody can read secrets in
the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from flask import Response, g, request

from models import EditedTable
from webapp.clouds.errors import CloudError
from webapp.refusals import Refusal
from webapp.revisions.conflicts import Change, EditConflict, are_all_by
from webapp.web.components import field_value
from webapp.web.rendering import render
from webapp.web.resumed_forms import is_resumed, resumed_message
from webapp.web.services import services

THEIRS = "theirs"
"""The choice of the stored version."""
YOURS = "yours"
"""The choice of the version that the person entered."""
VERSIONS = "versions of a record"
"""The purpose of the encrypted text in the page, for `Vault.seal`."""
MISSING_CHOICE = "Choose a version for each field."

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """Fields that belong together, such as the family and the version of an operating system.

    `show` returns the text for the values of the fields. If `show` is None, the row has one field,
    whose value is the text.
    """

    label: str
    fields: Sequence[str]
    show: Callable[[Values], object] | None = None

    @property
    def key(self) -> str:
        return f"version-{self.fields[0]}"

    def text(self, values: Values) -> object:
        shown = self.show(values) if self.show else field_value(self.label, values[self.fields[0]])
        return "—" if shown in {None, ""} else shown


@dataclass(frozen=True)
class ShownRow:
    """A row of the page: both texts, who changed the stored version, and the chosen version."""

    key: str
    label: str
    theirs: object
    yours: object
    change: Change | None
    you_changed: bool
    chosen: str


@dataclass(frozen=True)
class ConflictPage:
    """The page for one record. `name` is the record's name, and `cancel` is the URL to return to.

    `option` is the name and the label of a checkbox that the page shows if saving fails, or None.
    `only_you` is true if nobody else can change the record.
    """

    record: EditedTable
    name: str
    rows: Sequence[Row]
    cancel: str
    option: tuple[str, str] | None = None
    only_you: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether the request comes from this page, and not from the form of the record."""
        return "versions" in request.form

    def show(self, conflict: EditConflict) -> Response:
        """Return the page for a refused change. The person has not chosen a version yet."""
        return self._render(_Versions.from_conflict(conflict), {}, 409)

    def save_answer(self, save: Callable[[dict[str, Any], int], object]) -> Response | None:
        """Save the versions that the person chose. If this fails, return the page with an error.

        `save` gets the chosen values, and the revision of the stored version that the page showed.
        If saving succeeds, return None. Raises Refusal if the versions in the request belong to
        another person or form.
        """
        versions = self._read_versions()
        chosen = self._read_choices(versions)
        if is_resumed():
            return self._render(versions, chosen, 422, resumed_message())
        if any(row.key not in chosen for row in self._differing_rows(versions)):
            return self._render(versions, chosen, 422, MISSING_CHOICE)
        values = dict(versions.yours)
        for row in self._differing_rows(versions):
            source = versions.theirs if chosen[row.key] == THEIRS else versions.yours
            values.update({field: source[field] for field in row.fields})
        try:
            save(values, versions.revision)
        except EditConflict as conflict:
            return self.show(conflict)
        except (Refusal, CloudError) as error:
            return self._render(versions, chosen, 422, str(error), self.option)
        return None

    def _differing_rows(self, versions: _Versions) -> list[Row]:
        return [
            row
            for row in self.rows
            if any(versions.theirs[field] != versions.yours[field] for field in row.fields)
        ]

    def _read_choices(self, versions: _Versions) -> dict[str, str]:
        """Return the chosen version of each row by its key."""
        choices = {row.key: request.form.get(row.key, "") for row in self._differing_rows(versions)}
        if (choice_for_all := request.form.get("every", "")) in {THEIRS, YOURS}:
            choices = dict.fromkeys(choices, choice_for_all)
        return {key: choice for key, choice in choices.items() if choice in {THEIRS, YOURS}}

    def _read_versions(self) -> _Versions:
        content = services().vault.unseal(request.form["versions"], VERSIONS)
        if content is None or content.pop("for", None) != self._audience:
            raise Refusal(
                "This page was opened by another person or for another form, so your changes "
                "weren’t saved. Open the form again and enter your changes."
            )
        return _Versions.from_json(content)

    @property
    def _audience(self) -> list[Any]:
        """The person, record and form that the encrypted versions are valid for."""
        return [g.actor.person.id, self.record.reference, request.endpoint]

    def _render(
        self,
        versions: _Versions,
        chosen: Mapping[str, str],
        status: int,
        error: str = "",
        option: tuple[str, str] | None = None,
    ) -> Response:
        changes = {change.field: change for change in versions.changes}
        rows = []
        for row in self._differing_rows(versions):
            your_fields = [
                field for field in row.fields if versions.base(field) != versions.yours[field]
            ]
            their_changes = [changes[field] for field in row.fields if field in changes]
            default = "" if your_fields and their_changes else YOURS if your_fields else THEIRS
            rows.append(
                ShownRow(
                    row.key,
                    row.label,
                    row.text(versions.theirs),
                    row.text(versions.yours),
                    change=their_changes[-1] if their_changes else None,
                    you_changed=bool(your_fields),
                    chosen=chosen.get(row.key, default),
                )
            )
        return render(
            "layout/conflict.html",
            name=self.name,
            cancel=self.cancel,
            option=option,
            rows=rows,
            people=_people_in(versions.changes),
            by_you=self.only_you or are_all_by(g.actor.person, versions.changes),
            versions=services().vault.seal({"for": self._audience, **versions.as_json()}, VERSIONS),
            error=error,
            status=status,
        )


def _people_in(changes: Sequence[Change]) -> list[str]:
    """Return the names of the people who made the changes. “You” comes first."""
    others = [each for each in changes if each.person_id != g.actor.person.id]
    you = ["You"] if len(others) < len(changes) else []
    return you + list(dict.fromkeys(change.person_name for change in others))


@dataclass(frozen=True)
class _Versions:
    """The stored and the entered version, and the changes that led to the stored version."""

    revision: int
    theirs: Values
    yours: Values
    changes: Sequence[Change]

    @classmethod
    def from_conflict(cls, conflict: EditConflict) -> _Versions:
        return cls(conflict.revision, conflict.theirs, conflict.yours, conflict.changes)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> _Versions:
        changes = [
            Change(**{**change, "at": datetime.fromisoformat(change["at"])})
            for change in values["changes"]
        ]
        return cls(values["revision"], values["theirs"], values["yours"], changes)

    def as_json(self) -> dict[str, Any]:
        changes = [{**asdict(change), "at": change.at.isoformat()} for change in self.changes]
        return {
            "revision": self.revision,
            "theirs": dict(self.theirs),
            "yours": dict(self.yours),
            "changes": changes,
        }

    def base(self, field: str) -> Any:
        """Return the value that the person saw when they opened the form."""
        before = {change.field: change.before for change in self.changes}
        return before.get(field, self.theirs[field])
