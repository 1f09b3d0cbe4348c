"""Browse: list the cloud images of an account in a cloud, select some of them, and review them.

The list contains cloud images that the account of the credentials owns. In AWS and OpenStack, it
also contains cloud images that are shared with this account.
"""

from __future__ import annotations

from typing import Any

from flask import Response, abort, g, request, url_for

from models import Job, Level
from webapp.access import Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud
from webapp.clouds.errors import CloudError
from webapp.clouds.locators import Locator
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import VaultError
from webapp.forms.base import refuse
from webapp.forms.fields import Choice
from webapp.forms.new_image import BrowseForm
from webapp.forms.transfer import SelectionForm
from webapp.images import browsing, registration
from webapp.images.browsing import Listing
from webapp.refusals import Refusal
from webapp.transfer import chosen_images, imports
from webapp.transfer.import_plan import ImportOptions
from webapp.views.arguments import number_argument
from webapp.views.scope_pages import needs, pages
from webapp.views.start_pages import BROWSE, start_page
from webapp.web.rendering import redirect, render, render_refusal, toast, wants_fragment
from webapp.web.services import services

LONGEST_CURSOR = 2_000
"""The maximum length of the cursor in a URL, in characters."""


@pages.get("/images/new/browse")
@needs(Right.EDIT_IMAGES)
def browse() -> Response:
    """Redirect to the list of the first cloud for which the scope can use credentials.

    If the scope can use no credentials, redirect to the list of the first cloud.
    """
    usable_clouds = {row.cloud for row in cloud_credentials.usable_at(g.scope)}
    first = next((key for key in CLOUDS if key in usable_clouds), next(iter(CLOUDS)))
    return redirect(url_for(".browse_images", cloud_key=first))


@pages.get("/images/new/<cloud_key>/browse")
@needs(Right.EDIT_IMAGES)
def browse_images(cloud_key: str) -> Response:
    """Use the chosen credentials to list the images at the chosen location.

    If the URL names no credentials, show only the form. `after` in the URL is the cursor of the
    requested page, and `shown` is the number of images on earlier pages.
    """
    cloud = _cloud_or_404(cloud_key)
    form = BrowseForm.for_cloud(
        cloud, cloud_credentials.usable_at(g.scope, cloud_key), request.args
    )
    if form.credentials_id and "location" in form:
        _offer_locations(cloud, form)
    cursor = request.args.get("after", "")[:LONGEST_CURSOR]
    listing = None
    if "credentials" in request.args and not form.errors and form.validate():
        listing = _list_images(cloud, form, cursor)
    if form.errors and cursor and wants_fragment():
        return _refuse_next_page(form)
    selection = SelectionForm(formdata=None)
    if g.scope.level is Level.ENVIRONMENT:
        del selection.shared
    return render(
        "new_image/browse.html",
        fragment="new_image/_browse.html",
        label="Browse your clouds",
        background=bool(cursor),
        cursor=cursor,
        shown=number_argument("shown", 0) if cursor else 0,
        cloud=cloud,
        form=form,
        listing=listing,
        selection=selection,
        status=422 if form.errors else 200,
    )


@pages.post("/images/new/<cloud_key>/browse")
@needs(Right.EDIT_IMAGES)
def review_selected(cloud_key: str) -> Response:
    """Start to look up the selected images, and redirect to their review."""
    cloud = _cloud_or_404(cloud_key)
    form = SelectionForm()
    try:
        job = _start_review(cloud, form)
    except Refusal as error:
        toast(error.message, "warning")
        return redirect(url_for(".browse_images", **_list_parameters(cloud, form)))
    return redirect(url_for(".review_import", job_id=job.id))


def _start_review(cloud: Cloud, form: SelectionForm) -> Job:
    """Start to look up the selected images. Raises Refusal."""
    if not form.validate_on_submit():
        raise Refusal(" ".join(form.form_errors) or "Select the images again.")
    credentials = registration.usable_credentials(g.scope, cloud.key, form.credentials.data)
    locators = [Locator(form.location.data, image_id) for image_id in form.image_ids.data]
    lines = chosen_images.selected_lines(cloud, locators, form.settings(g.scope.level))
    options = ImportOptions(look_up=True, credentials={cloud.key: credentials.id}, only_new=True)
    link_back = start_page(BROWSE, **_list_parameters(cloud, form))
    return imports.start(g.actor, g.scope, services().vault, lines, options, start_page=link_back)


def _list_parameters(cloud: Cloud, form: SelectionForm) -> dict[str, Any]:
    """Return the URL parameters of the list in which the person selected the images."""
    return {
        "cloud_key": cloud.key,
        "credentials": request.form.get("credentials") or None,
        "location": form.location.data or None,
        "q": request.form.get("q") or None,
    }


def _offer_locations(cloud: Cloud, form: BrowseForm) -> None:
    """Offer the locations that are known without a call to the cloud.

    If no location is known, and the person must choose one from a list, read the locations from the
    cloud.
    """
    usable = cloud_credentials.usable_at(g.scope, cloud.key)
    credentials = next(row for row in usable if row.id == form.credentials_id)
    locations = cloud.default_locations(credentials.settings)
    if not locations and isinstance(form["location"], Choice):
        try:
            locations = cloud.locations(services().vault.reveal(credentials))
        except (CloudError, VaultError) as error:
            refuse(form, str(error), "location")
    form.offer_locations(locations)
    if len(locations) == 1:
        form["location"].data = locations[0].key


def _refuse_next_page(form: BrowseForm) -> Response:
    """Show the errors in a toast, so that the images that are already listed stay on the page."""
    errors = [str(error) for errors in form.errors.values() for error in errors]
    message = " ".join([*errors, "To begin again, select “List images”."])
    return render_refusal("The list can’t be continued", message, 422)


def _list_images(cloud: Cloud, form: BrowseForm, cursor: str) -> Listing | None:
    """Return a page of the images, or None after adding the error to the form."""
    try:
        return browsing.browse(
            g.actor,
            g.scope,
            services().vault,
            cloud.key,
            credentials_id=form.credentials_id,
            location=form.value_of("location"),
            search=form.q.data,
            cursor=cursor,
        )
    except Refusal as error:
        refuse(form, error.message, error.field)
    except (CloudError, VaultError) as error:
        refuse(form, str(error))
    return None


def _cloud_or_404(key: str) -> Cloud:
    if key not in CLOUDS:
        abort(404)
    return CLOUDS[key]
