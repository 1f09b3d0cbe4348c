"""The views: each parses, calls one use case, and renders."""

from __future__ import annotations

from flask import Flask

from webapp.views import (
    account_pages,
    audit,
    bookmarks,
    bulk,
    children,
    cloud_credentials,
    exchange,
    help_pages,
    image_list,
    images,
    imports,
    jobs,
    life_cycle,
    members,
    new_image,
    overview,
    preferences,
    saved_views,
    scope_pages,
)

__all__ = [
    "account_pages",
    "audit",
    "bookmarks",
    "bulk",
    "children",
    "cloud_credentials",
    "exchange",
    "help_pages",
    "image_list",
    "images",
    "imports",
    "jobs",
    "life_cycle",
    "members",
    "mount_views",
    "new_image",
    "overview",
    "preferences",
    "saved_views",
]


def mount_views(app: Flask) -> None:
    app.register_blueprint(account_pages.pages)
    app.register_blueprint(help_pages.pages)
    scope_pages.mount(app)
