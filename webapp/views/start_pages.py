"""The pages where a person starts to register several images.

A job stores its start page and what the person chose on this page. So the page of the job and the
review of its plan can link back to the start page.
"""

from __future__ import annotations

from flask import url_for

from models import Job
from webapp.transfer.import_file import IDS, SELECTION

NEW_IMAGE, BROWSE, PASTE_IDS = "new-image", "browse", "ids"
"""The names with which jobs store the start pages."""
_ENDPOINTS = {NEW_IMAGE: ".select_image", BROWSE: ".browse_images", PASTE_IDS: ".paste_ids"}
_TITLES = {BROWSE: "Browse your clouds"}


def start_page(name: str, **values: object) -> dict[str, str]:
    """Return a start page: its name, and the non-empty parameters of its URL."""
    return {"name": name} | {key: str(value) for key, value in values.items() if value}


def start_url(job: Job) -> str:
    """Return the URL of the page where the import was started."""
    values = dict(job.arguments.get("start_page") or {})
    if endpoint := _ENDPOINTS.get(values.pop("name", "")):
        # PostgreSQL does not preserve the order of the keys of a JSON object, so sort the keys.
        return url_for(endpoint, **dict(sorted(values.items())))
    endpoints = {IDS: ".paste_ids", SELECTION: ".new_image"}
    return url_for(endpoints.get(job.arguments.get("format", ""), ".import_images"))


def start_title(job: Job, default: str) -> str:
    """Return the title of the page where the import was started.

    Return `default` for every page except Browse your clouds.
    """
    return _TITLES.get((job.arguments.get("start_page") or {}).get("name", ""), default)


def next_images_url(job: Job) -> str:
    """Return the URL of the page where the job was started, to register more images there.

    Return '' for an import of a file.
    """
    return start_url(job) if job.arguments.get("format", "") in {IDS, SELECTION} else ""
