"""The views: each parses, calls one use case, and renders."""

from __future__ import annotations

from flask import Flask

from webapp.views import (
    account_pages,
    audit,
    bookmarks,
    children,
    cloud_credentials,
    images,
    members,
    new_image,
    scope_pages,
)

__all__ = [
    "account_pages",
    "audit",
    "bookmarks",
    "children",
    "cloud_credentials",
    "images",
    "members",
    "mount_views",
    "new_image",
]


def mount_views(app: Flask) -> None:
    app.register_blueprint(account_pages.pages)
    scope_pages.mount(app)
