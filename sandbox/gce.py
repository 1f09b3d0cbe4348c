"""A loopback Compute Engine with Google's API and error messages.

It serves the images in `gce_images` to the service accounts of `gce_keys`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from flask import Flask, request

from sandbox import gce_answers, gce_images, gce_keys
from sandbox.gce_answers import Answer
from sandbox.gce_images import LINK, OWN_PROJECT, SandboxImage
from sandbox.wsgi import serve_app

THROTTLED = f"{OWN_PROJECT}/global/images/acme-too-many-calls"
UNAVAILABLE = f"{OWN_PROJECT}/global/images/acme-backend-error"
FORBIDDEN = f"{gce_images.FOREIGN_PROJECT}/global/images/globex-secret"
"""Cloud image IDs for which the sandbox always returns an error.

The names of the three constants say which error."""
MAX_PAGE_SIZE = 500
"""The maximum number of images on one page of a list."""


def start(port: int = 0) -> AbstractContextManager[str]:
    """Serve on loopback from a thread of this process. The context manager yields the URL."""
    return serve_app(_app(), port)


def credentials(url: str) -> dict[str, str]:
    """Return the credentials of the sandbox's service account."""
    return {"service_account_key": gce_keys.key_file(), "endpoint_url": url, "ca": ""}


def _app() -> Flask:
    app = Flask(__name__)
    images = "/compute/v1/projects/<project>/global/images"
    app.add_url_rule(images, view_func=_list)
    app.add_url_rule(f"{images}/<name>", view_func=_get)
    app.add_url_rule(f"{images}/family/<family>", view_func=_get_from_family)
    app.before_request(_require_token)
    app.after_request(_add_retry_after)
    return app


def _require_token() -> Answer | None:
    try:
        gce_keys.require_token(request.headers.get("Authorization", ""))
    except gce_keys.BadToken as error:
        return gce_answers.unauthenticated(error.reason)
    return None


def _add_retry_after(response: Any) -> Any:
    if response.status_code == 429:
        response.headers["Retry-After"] = "30"
    return response


def _get(project: str, name: str) -> Answer:
    path = f"{project}/global/images/{name}"
    if path == THROTTLED:
        return gce_answers.throttled()
    if path == UNAVAILABLE:
        return gce_answers.unavailable()
    return _image(project, path, gce_images.find_image(project, name))


def _get_from_family(project: str, family: str) -> Answer:
    path = f"{project}/global/images/family/{family}"
    return _image(project, path, gce_images.newest_image(project, family))


def _image(project: str, path: str, found: SandboxImage | None) -> Answer:
    if project == gce_images.FOREIGN_PROJECT:
        return gce_answers.forbidden(path)
    if project not in gce_images.PROJECTS:
        return gce_answers.not_found(project)
    if found is None:
        return gce_answers.not_found(path)
    return found.answer(), 200


def _list(project: str) -> Answer:
    if project == gce_images.FOREIGN_PROJECT:
        return gce_answers.forbidden(project, "compute.images.list")
    if project not in gce_images.PROJECTS:
        return gce_answers.not_found(project)
    images = sorted((image for image in gce_images.CATALOG if image.project == project), key=_name)
    after = request.args.get("pageToken", "")
    remaining = [image for image in images if image.name > after]
    page = remaining[: min(int(request.args.get("maxResults", MAX_PAGE_SIZE)), MAX_PAGE_SIZE)]
    body: dict[str, Any] = {
        "kind": "compute#imageList",
        "id": f"projects/{project}/global/images",
        "selfLink": f"{LINK}{project}/global/images",
        "items": [image.answer() for image in page],
    }
    if len(page) < len(remaining):
        body["nextPageToken"] = page[-1].name
    return body, 200


def _name(image: SandboxImage) -> str:
    return image.name
