"""The views: each parses a request, calls one use case, and renders the response."""

from __future__ import annotations

from flask import Flask

from webapp.views import (
    account,
    activity,
    audit,
    bookmarks,
    browse,
    bulk,
    cloud_credentials,
    comparison,
    deleted_images,
    export,
    factors,
    help_pages,
    image_list,
    images,
    imports,
    invitations,
    jobs,
    life_cycle,
    members,
    more_images,
    new_image,
    overview,
    palette,
    passkeys,
    password_reset,
    people,
    person_pages,
    preferences,
    role_rules,
    saved_views,
    scope_pages,
    scopes,
    second_step,
    sessions,
    several_images,
    sign_in,
    single_sign_on,
    step_up,
    tokens,
)
from webapp.web.scope_paths import IdConverter

__all__ = [
    "account",
    "activity",
    "audit",
    "bookmarks",
    "browse",
    "bulk",
    "cloud_credentials",
    "comparison",
    "deleted_images",
    "export",
    "factors",
    "help_pages",
    "image_list",
    "images",
    "imports",
    "invitations",
    "jobs",
    "life_cycle",
    "members",
    "more_images",
    "mount_views",
    "new_image",
    "overview",
    "palette",
    "passkeys",
    "password_reset",
    "people",
    "preferences",
    "role_rules",
    "saved_views",
    "scopes",
    "second_step",
    "sessions",
    "several_images",
    "sign_in",
    "single_sign_on",
    "step_up",
    "tokens",
]


def mount_views(app: Flask) -> None:
    """Register the blueprints.

    The imports above have already added the views to the blueprints.
    """
    app.url_map.converters["int"] = IdConverter
    person_pages.mount(app)
    app.register_blueprint(help_pages.pages)
    scope_pages.mount(app)
