"""The pages that a person can open: the main menu of a scope, and the pages that the palette finds.

`webapp.views.palette` is the palette, which searches pages, scopes and images.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, url_for

from models import Level, Scope
from webapp.access import Actor, Right
from webapp.web import chapters
from webapp.web.rendering import scope_url
from webapp.web.services import services

CHILD_KINDS = {Level.SCALR: ("accounts", "building"), Level.ACCOUNT: ("environments", "box")}
"""The plural noun and the icon for child scopes, by the level of their parent."""


@dataclass(frozen=True)
class Link:
    """A link to a page.

    `add` is None or a link to the page for a new record, for example with the label “New Image”.
    The menu shows `add` beside this link, with the visible text “Add new” instead of the label.
    """

    label: str
    url: str
    icon: str
    add: Link | None = None


def init_app(app: Flask) -> None:
    """Make the menu available in all templates."""
    app.jinja_env.globals["main_menu"] = menu


def menu(actor: Actor, scope: Scope) -> list[Link]:
    """Return the main menu of a scope: the pages that the actor has the right to open."""

    def may(right: Right) -> bool:
        return actor.may(right, scope)

    def add(label: str, endpoint: str, right: Right) -> Link | None:
        return Link(label, scope_url(scope, endpoint), "plus") if may(right) else None

    new_image = add("New Image", "new_image", Right.EDIT_IMAGES)
    links = [
        Link("Images", scope_url(scope), "photo", new_image),
        Link("Overview", scope_url(scope, "overview"), "chart-bar"),
    ]
    if may(Right.LIST_CREDENTIALS):
        new = add("New Cloud Credentials", "new_credentials", Right.MANAGE_CREDENTIALS)
        links.append(Link("Cloud Credentials", scope_url(scope, "credentials"), "key", new))
    if may(Right.MANAGE_MEMBERS):
        links.append(Link("Members", scope_url(scope, "member_list"), "users"))
    if may(Right.MANAGE_MEMBERS) and scope.level is Level.SCALR:
        links.append(Link("People", scope_url(scope, "people"), "user"))
    if may(Right.MANAGE_MEMBERS) and services().single_sign_on.clients:
        links.append(Link("Role rules", scope_url(scope, "role_rule_list"), "user-plus"))
    if may(Right.MANAGE_TOKENS):
        new = add("New Token", "new_token", Right.MANAGE_TOKENS)
        links.append(Link("API tokens", scope_url(scope, "token_list"), "lock", new))
    if may(Right.MANAGE_SCOPES) and scope.level in CHILD_KINDS:
        kind, icon = CHILD_KINDS[scope.level]
        url = scope_url(scope, "child_scopes", kind=kind)
        links.append(Link(kind.capitalize(), url, icon))
    if may(Right.VIEW_AUDIT):
        links.append(Link("Audit log", scope_url(scope, "audit_log"), "history"))
    return links


def find_pages(actor: Actor, scope: Scope | None, text: str, limit: int) -> list[Link]:
    """Return at most `limit` pages whose names contain every word of `text`.

    Pages whose name begins with `text` come first. `scope` is None for a person without a role.
    """
    words = text.lower().split()
    links = [*(_scope_pages(actor, scope) if scope else ()), *_personal_pages()]
    found = [link for link in links if all(word in link.label.lower() for word in words)]
    found.sort(key=lambda link: not link.label.lower().startswith(text.lower()))
    return found[:limit]


def _scope_pages(actor: Actor, scope: Scope) -> list[Link]:
    links = menu(actor, scope)
    links += [link.add for link in links if link.add]
    if actor.may(Right.EDIT_IMAGES, scope):
        links.append(Link("Import images", scope_url(scope, "import_images"), "upload"))
    return [
        *links,
        Link("Views", scope_url(scope, "view_list"), "star"),
        Link("Recently deleted", scope_url(scope, "deleted_images"), "trash"),
        Link("Bookmarks", scope_url(scope, "bookmark_settings"), "bookmark"),
    ]


def _personal_pages() -> list[Link]:
    return [
        Link("Scopes", url_for("people.scope_list"), "list-details"),
        Link("Activity", url_for("people.activity"), "clock"),
        Link("Sign-in and security", url_for("people.security"), "lock"),
        Link("Your API tokens", url_for("people.token_list"), "key"),
        Link("Change password", url_for("people.password"), "key"),
        Link("Sessions", url_for("people.session_list"), "device-desktop"),
        Link("Help", url_for("help.index"), "help"),
        *(
            Link(f"Help: {chapter.title}", url_for("help.chapter", name=chapter.name), "help")
            for chapter in chapters.all_chapters()
        ),
    ]
