"""The page for pasting the IDs of several images, which are then reviewed as one import."""

from __future__ import annotations

from flask import Response, g, request, url_for

from models import Level
from webapp.access import Right
from webapp.clouds import CLOUDS
from webapp.credentials import cloud_credentials
from webapp.forms.base import refuse
from webapp.forms.fields import record_id
from webapp.forms.transfer import make_ids_form
from webapp.transfer import chosen_images, imports
from webapp.transfer.import_file import UnreadableFile
from webapp.transfer.import_lines import Answers
from webapp.transfer.import_plan import ImportOptions
from webapp.views.scope_pages import needs, pages
from webapp.views.start_pages import PASTE_IDS, start_page
from webapp.web.rendering import redirect, render
from webapp.web.services import services


@pages.route("/images/new/ids", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def paste_ids() -> Response:
    """Show the form for image IDs. On POST, start to look up the images and redirect to the review.

    Nothing is registered before the person confirms the review.
    """
    usable = cloud_credentials.usable_at(g.scope)
    cloud = request.args.get("cloud", "")
    form = make_ids_form(
        usable,
        cloud if cloud in CLOUDS else "",
        record_id(request.args.get("credentials")),
        request.args.get("location", ""),
    )
    if g.scope.level is Level.ENVIRONMENT:
        del form.shared
    if form.validate_on_submit():
        chosen = form.chosen_credentials()
        try:
            lines = chosen_images.lines_of_ids(
                form.ids.data, chosen, CLOUDS.get(form.cloud.data), form.settings()
            )
        except UnreadableFile as error:
            refuse(form, error.message, "ids")
        else:
            key, locations = form.cloud.data, form.locations()
            start = start_page(
                PASTE_IDS,
                cloud=key,
                credentials=chosen.get(key),
                location=locations.get(key, {}).get("location"),
            )
            job = imports.start(
                g.actor,
                g.scope,
                services().vault,
                lines,
                ImportOptions(look_up=True, credentials=chosen, only_new=True),
                answers=Answers(locations),
                start_page=start,
            )
            return redirect(url_for(".review_import", job_id=job.id))
    status = 422 if form.is_submitted() else 200
    return render("new_image/ids.html", label="New images", form=form, usable=usable, status=status)
