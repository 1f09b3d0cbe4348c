"""Find the image whose ID is in the URL, if the scope of the page may see or change it."""

from __future__ import annotations

from flask import Response, abort, g, request, url_for
from flask_wtf import FlaskForm

from models import Image
from webapp.access import Forbidden, Right
from webapp.images import recently_deleted
from webapp.images.recently_deleted import Deleted
from webapp.search import catalogue
from webapp.views.missing import abort_missing
from webapp.web.rendering import render, wants_fragment


def visible_image_or_404(image_id: int) -> Image:
    """Return an image that the scope owns or inherits.

    Responds with 404 if the scope has no such image. If the image was deleted in the last 24 hours,
    responds with 410 and a page. If the person may restore the image at this scope, the page offers
    to do so. A request for a fragment gets 404 instead.
    """
    image = catalogue.find_visible_image(g.scope, image_id)
    if image is None:
        deleted = recently_deleted.visible_from(g.scope, image_id)
        if deleted is None or wants_fragment():
            abort(404)
        abort(_deleted_page(deleted))
    return image


def owned_image_or_403(image_id: int, form: type[FlaskForm] | None = None) -> Image:
    """Return an image that the scope owns.

    Responds with 404 if the scope can't see the image, and with 403 if the scope inherits it: an
    inherited image can be changed only at the scope that owns it.

    For a POST, the error page also shows the values that were sent, and says who deleted or
    promoted the image. If the image was promoted, responds with 409. `form` is the class of the
    form that was sent.
    """
    image = catalogue.find_visible_image(g.scope, image_id)
    if image is None or image.scope_id != g.scope.id:
        if image is not None and (request.method != "POST" or wants_fragment()):
            raise Forbidden(Right.EDIT_IMAGES, image.scope)
        abort_missing(Image(id=image_id).reference, 403 if image else 404, form=form)
    return image


def _deleted_page(deleted: Deleted) -> Response:
    is_own = deleted.scope_id == g.scope.id
    return render(
        "images/deleted.html",
        deleted=deleted,
        may_restore=is_own and g.actor.may(Right.EDIT_IMAGES, g.scope),
        status=410,
    )


def sees_credentials() -> bool:
    """Return whether pages of the current scope may show the names of credentials to the person."""
    return bool(g.actor.may(Right.LIST_CREDENTIALS, g.scope))


def image_url(image: Image) -> str:
    """Return the URL of the image's page at the current scope."""
    return url_for(".image", image_id=image.id)
