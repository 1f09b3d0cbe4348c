"""The page to deprecate or retire an image, or make it active again.

While a person types in the field for the successor, the page suggests images.
"""

from __future__ import annotations

from flask import Response, g, request

from models import Image, LifeCycle
from webapp import audit
from webapp.access import Right
from webapp.forms.base import refuse
from webapp.forms.life_cycle import StatusForm
from webapp.images import life_cycle
from webapp.images.successors import (
    parse_successor,
    reference_to,
    referenced_id,
    visible_successor,
)
from webapp.refusals import Refusal
from webapp.revisions.conflicts import EditConflict
from webapp.search import catalogue
from webapp.search.catalogue import Listing
from webapp.search.keys import Key
from webapp.search.query import Query, Term
from webapp.search.rows import ListedImage
from webapp.views.conflicts import ConflictPage, Row, Values
from webapp.views.image_access import image_url, owned_image_or_403
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, toast

SHORTEST_SEARCH = 3
"""The number of characters that a person must type before images are suggested."""
MAX_SUGGESTIONS = 8


@pages.route("/images/<int:image_id>/life-cycle", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def image_life_cycle(image_id: int) -> Response:
    image = owned_image_or_403(image_id, StatusForm)
    conflict_page = ConflictPage(image, image.name, STATUS_ROWS, image_url(image))
    if conflict_page.is_answered:
        return conflict_page.save_answer(
            lambda values, revision: life_cycle.change(
                g.actor, image, life_cycle.plan_from_audit(values), revision
            )
        ) or _saved(image)
    form = StatusForm()
    if not form.is_submitted():
        form.fill(life_cycle.plan_of(image), _successor_text(image))
        form.revision.data = image.revision
    elif form.validate():
        try:
            changes = _save(image, form)
        except EditConflict as conflict:
            return conflict_page.show(conflict)
        except Refusal as error:
            refuse(form, error.message, error.field)
        else:
            return _saved(image, anything_changed=bool(changes))
    status = 422 if form.is_submitted() else 200
    return render("images/life_cycle.html", image=image, form=form, status=status)


def _status_text(values: Values) -> str:
    words = {"deprecated_on": "Deprecated", "retired_on": "Retired"}
    dates = [f"{word} from {values[name]}" for name, word in words.items() if values[name]]
    return ", ".join(dates) or "Active"


def _successor_name(values: Values) -> str:
    """Return the ID and name of the successor, or only its ID if it is not visible here.

    If there is no successor, return ''.
    """
    if not values["successor"]:
        return ""
    shown_id = str(values["successor"])
    found = catalogue.find_visible_image(g.scope, int(shown_id.removeprefix("#")))
    return reference_to(found.id, found.name) if found else shown_id


STATUS_ROWS = (
    Row("Status", ["deprecated_on", "retired_on"], _status_text),
    Row("Reason", ["reason"]),
    Row("Successor", ["successor"], _successor_name),
)
"""The rows of the conflict page of a status (`webapp.views.conflicts`)."""


def _saved(image: Image, *, anything_changed: bool = True) -> Response:
    toast(_status_message(image) if anything_changed else "No changes to save.")
    return redirect(image_url(image))


@pages.get("/images/successors")
@needs(Right.EDIT_IMAGES)
def successors() -> Response:
    """Suggest images that match the text in the field for a successor."""
    text = " ".join(request.args.get("successor", "")[:255].split())
    images: list[ListedImage] = []
    if len(text) >= SHORTEST_SEARCH and not text.startswith("#"):
        retired = Term(Key.STATUS, LifeCycle.RETIRED.value, excluded=True)
        query = Query((Term(Key.WORD, text), retired), (), "")
        images = catalogue.find_page(
            g.actor, g.scope, Listing(query=query, size=MAX_SUGGESTIONS)
        ).images
    return render("images/_successors.html", images=images, reference_to=reference_to)


def _save(image: Image, form: StatusForm) -> audit.Changes:
    """Save the status and return what changed. Raises Refusal."""
    if form.status.data == LifeCycle.ACTIVE:
        return life_cycle.make_active(g.actor, image, form.revision.data)
    save = {
        LifeCycle.DEPRECATED.value: life_cycle.deprecate,
        LifeCycle.RETIRED.value: life_cycle.retire,
    }[form.status.data]
    successor_id = _successor_id(image, form.successor.data)
    return save(g.actor, image, form.on.data, form.reason.data, successor_id, form.revision.data)


def _successor_id(image: Image, text: str) -> int | None:
    """Return the ID of the successor that `text` names. Raises Refusal.

    If the person did not change the field, return the ID of the saved successor, even if the
    successor has been renamed or retired since. If the saved successor is not visible here, the
    form shows an empty field. So if the field is still empty, the saved successor stays.
    """
    image_id, is_explicit = referenced_id(text)
    is_saved = is_explicit and image_id is not None and image_id == image.successor_id
    if is_saved or text == _successor_text(image):
        return image.successor_id
    return parse_successor(g.scope, text)


def _successor_text(image: Image) -> str:
    """Return the form's text for the saved successor, or '' if no successor is visible here."""
    successor = visible_successor(image, g.scope)
    return reference_to(successor.id, successor.name) if successor else ""


def _status_message(image: Image) -> str:
    plan = life_cycle.plan_of(image)
    if plan.retired_on and image.status is not LifeCycle.RETIRED:
        return f"The image will be retired on {plan.retired_on} (UTC)."
    if plan.deprecated_on and image.status is LifeCycle.ACTIVE:
        return f"The image will be deprecated on {plan.deprecated_on} (UTC)."
    return f"The image is now {image.status}."
