"""The page for a form whose record was deleted or moved while somebody filled the form in.

The page shows what was typed. If the scope owned the record, the page also says who deleted or
moved the record, and when. For any other record, the page is the same as for a record that never
existed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from flask import Response, abort, g, request, url_for
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import BooleanField, Field, HiddenField, PasswordField, SelectField

from models import AuditEntry, Image
from webapp import audit
from webapp.revisions.conflicts import RecordDeleted
from webapp.revisions.departures import departure_from
from webapp.views.conflicts import VERSIONS
from webapp.views.scope_pages import pages
from webapp.web.components import field_value
from webapp.web.error_pages import TEXTS
from webapp.web.rendering import render, render_refusal, scope_url, wants_fragment
from webapp.web.resumed_forms import DROPPED_NAMES
from webapp.web.services import services

_NOT_TYPED = DROPPED_NAMES | {"revision", "versions", "every", "contents", "receipt"}
"""The names of the fields that a person does not fill in, or whose values are secret."""
_CHECKBOXES = frozenset({"agent_installed", "confirmed", "replace", "shared", "skip_check"})
"""The names of checkboxes. A request contains a checkbox only if it is ticked."""


def abort_missing(
    reference: str,
    status: int = 404,
    *,
    form: type[FlaskForm] | None = None,
    entry: AuditEntry | None = None,
) -> NoReturn:
    """Respond to a request for a record that is not at this scope.

    If the request only reads, or replaces only a part of the page, the response is the error page
    for `status`. `reference` is the `EditedTable.reference` of the record. `form` is the class
    of the form that was sent. If `form` is None, the page derives the labels of the fields from
    their names. `entry` is the audit entry that says what happened. Pass `entry` only if it can't
    be found by `reference`.
    """
    if request.method != "POST" or wants_fragment():
        abort(status)
    abort(_missing_page(reference, status, form, entry))


@pages.errorhandler(RecordDeleted)
def _deleted_meanwhile(error: RecordDeleted) -> Response:
    """Respond to a request whose record was deleted while the request was in progress."""
    if wants_fragment() or request.method != "POST":
        return render_refusal("This couldn’t be done", error.message, 404)
    return _missing_page(error.reference, 404, None, None)


def _missing_page(
    reference: str, status: int, form: type[FlaskForm] | None, entry: AuditEntry | None
) -> Response:
    entry = entry or departure_from(g.scope, reference)
    title, advice = TEXTS[status]
    is_moved = entry is not None and entry.action == "image.promote"
    return render(
        "layout/missing.html",
        title=title,
        advice=advice,
        entry=entry,
        typed=list(
            _values_in_form(form())
            if form and not _is_conflict_page()
            else _values_in_request(reference)
        ),
        image_url=_image_url(reference) if is_moved else "",
        list_url=_list_url(reference),
        status=409 if is_moved else status,
    )


_LISTS = {
    "cloud_credentials": "credentials",
    "membership": "member_list",
    "provider_rule": "role_rule_list",
    "saved_view": "view_list",
}
"""The endpoint of the page that lists the records, for each table except scopes and images."""


def _list_url(reference: str) -> str:
    kind = reference.partition(":")[0]
    if kind == "scope":
        return url_for(".child_scopes", kind=(request.view_args or {})["kind"])
    return url_for(f".{_LISTS.get(kind, 'images')}")


def _image_url(reference: str) -> str:
    """Return the URL of an image at a scope where the person may see it, or ''."""
    kind, _, number = reference.partition(":")
    image = Image.get_or_none(id=int(number)) if kind == "image" else None
    if image is None:
        return ""
    if g.actor.role_at(image.scope):
        return scope_url(image.scope, "image", image_id=image.id)
    is_visible = Image.select().where(Image.visible_from(g.scope) & (Image.id == image.id)).exists()
    return url_for(".image", image_id=image.id) if is_visible else ""


def _is_conflict_page() -> bool:
    return "versions" in request.form


def _values_in_request(reference: str) -> Iterator[tuple[str, object]]:
    """Yield the label and value of each field in the request, without secrets."""
    values: dict[str, Any] = request.form.to_dict()
    if _is_conflict_page():
        content = services().vault.unseal(values["versions"], VERSIONS)
        audience = [g.actor.person.id, reference, request.endpoint]
        values = dict(content["yours"]) if content and content.get("for") == audience else {}
    for name, value in values.items():
        if name not in _NOT_TYPED and value not in (None, "", []):
            label = audit.field_label(name)
            yield label, field_value(label, True if name in _CHECKBOXES else value)


def _values_in_form(form: FlaskForm) -> Iterator[tuple[str, object]]:
    """Yield the label and value of each field of a form, without secrets."""
    for field in form:
        hidden = isinstance(field, HiddenField | PasswordField | FileField)
        if hidden or field.name in _NOT_TYPED:
            continue
        if isinstance(field, BooleanField):
            yield field.label.text, field_value("", bool(field.data))
        elif text := " ".join(field.raw_data or ()):
            yield field.label.text, _choice_labels(field).get(text, text)


def _choice_labels(field: Field) -> dict[str, str]:
    if not isinstance(field, SelectField):
        return {}
    groups = field.iter_groups() if field.has_groups() else [("", field.iter_choices())]
    return {str(choice[0]): choice[1] for _, choices in groups for choice in choices}
