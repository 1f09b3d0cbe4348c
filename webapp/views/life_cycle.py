"""The life of an image: the page where it is deprecated, retired and made active again, and what
its field for a successor offers while one types."""

from __future__ import annotations

from flask import Response, abort, g, request, url_for

from models import Image, LifeCycle
from webapp import audit
from webapp.access import Right
from webapp.forms.base import refuse
from webapp.forms.life_cycle import StatusForm
from webapp.images import life_cycle
from webapp.images.life_cycle import LifeCycleError
from webapp.search import catalogue
from webapp.search.catalogue import Listing
from webapp.search.language import Key, Query, Term
from webapp.search.rows import ListedImage
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, toast

SHORTEST = 3
"""Of a text that is searched for."""
OFFERED = 8


@pages.route("/images/<int:image_id>/life-cycle", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def image_life_cycle(image_id: int) -> Response:
    found = _own(image_id)
    form = StatusForm()
    if not form.is_submitted():
        successor = life_cycle.successor_of(found, g.scope)
        form.show(
            life_cycle.of(found),
            life_cycle.mention(successor.id, successor.name) if successor else "",
        )
    elif form.validate():
        try:
            changes = _change(found, form)
        except LifeCycleError as error:
            refuse(form, str(error), error.field)
        else:
            toast(_told(found) if changes else "Nothing was changed.")
            return redirect(url_for(".image", image_id=found.id))
    status = 422 if form.is_submitted() else 200
    return render("images/life_cycle.html", image=found, form=form, status=status)


@pages.get("/images/successors")
@needs(Right.EDIT_IMAGES)
def successors() -> Response:
    """Images that look like what is typed, to choose from."""
    text = " ".join(request.args.get("successor", "")[:255].split())
    found: list[ListedImage] = []
    if len(text) >= SHORTEST and not text.startswith("#"):
        retired = Term(Key.STATUS, LifeCycle.RETIRED.value, excluded=True)
        query = Query((Term(Key.WORD, text), retired), (), "")
        found = catalogue.find(g.actor, g.scope, Listing(query=query, size=OFFERED)).images
    return render("images/_successors.html", found=found, mention=life_cycle.mention)


def _change(image: Image, form: StatusForm) -> audit.Changes:
    """Raises LifeCycleError."""
    if form.status.data == LifeCycle.ACTIVE:
        return life_cycle.restore(g.actor, image)
    act = {
        LifeCycle.DEPRECATED.value: life_cycle.deprecate,
        LifeCycle.RETIRED.value: life_cycle.retire,
    }[form.status.data]
    successor = _successor(image, form.successor.data)
    return act(g.actor, image, form.on.data, form.reason.data, successor)


def _successor(image: Image, text: str) -> int | None:
    """One that is named already may stay, whatever has become of it. Raises LifeCycleError."""
    present = life_cycle.successor_of(image, g.scope)
    if present is not None and text == life_cycle.mention(present.id, present.name):
        return image.successor_id
    return life_cycle.successor_named(g.scope, text)


def _told(image: Image) -> str:
    life = life_cycle.of(image)
    if not life:
        return "The image is active."
    if life.retired_on and life.status is not LifeCycle.RETIRED:
        return f"The image will be retired on {life.retired_on}."
    if life.deprecated_on and life.status is LifeCycle.ACTIVE:
        return f"The image will be deprecated on {life.deprecated_on}."
    return f"The image is {life.status}."


def _own(image_id: int) -> Image:
    """Inherited images are changed where they are owned, and nowhere else."""
    found = catalogue.get(g.scope, image_id)
    if found is None:
        abort(404)
    if found.scope_id != g.scope.id:
        abort(403)
    return found
