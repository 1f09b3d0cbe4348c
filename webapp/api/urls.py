"""The URLs of the API. They are absolute, because programs store them and send them to others."""

from __future__ import annotations

from urllib.parse import quote

from flask import g, request

from models import Image, Level
from webapp.web.services import services

ROOT = "/api/v1"
"""The path of the API, after the prefix of the site."""


def api_url(path: str) -> str:
    """Return the URL of a path of the API, such as `/scopes`.

    The current request must be for the API, not for a page.
    """
    return f"{_origin()}{request.script_root}{quote(path)}"


def page_url(path: str) -> str:
    """Return the URL of a page, such as `/scopes`."""
    return f"{_origin()}{request.script_root.removesuffix(ROOT)}{quote(path)}"


def root_url() -> str:
    """Return the URL of the API. The current request must be for a page."""
    return f"{_origin()}{request.script_root}{ROOT}"


def scope_path(level: str, path: str) -> str:
    """Return the beginning of the paths of a scope, for example `/account/acme`."""
    return f"/{level}" if level == Level.SCALR else f"/{level}/{path}"


def image_path(level: str, path: str, image_id: int) -> str:
    """Return the path of an image at a scope."""
    return f"{scope_path(level, path)}/images/{image_id}"


def image_url(image: Image) -> str:
    """Return the URL of an image.

    If the scope of the request owns or inherits the image, the URL is at this scope. Otherwise, the
    URL is at the scope that owns the image.
    """
    scope = g.scope
    is_inherited = image.scope_id in scope.above and image.shared
    owner = scope if is_inherited or image.scope_id == scope.id else image.scope
    return api_url(image_path(owner.level, owner.path, image.id))


def _origin() -> str:
    return services().settings.public_url or request.host_url.rstrip("/")
