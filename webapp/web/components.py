"""Symbols, marks, times and rows in HTML: what pages show so many of that it would take too long to
write each anew. They are macros, and what a macro gave before is remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path

from flask import Flask, current_app, request
from markupsafe import Markup

from models import Scope
from webapp.search.rows import ListedImage

STATIC = Path(__file__).parent.parent / "static"


def init_app(app: Flask) -> None:
    marks = (owner, owner_mark, cloud_name, os_name, state_badge, status_badge)
    known: tuple[Callable[..., object], ...] = (asset, icon, when, *marks, row)
    app.jinja_env.globals.update({each.__name__: each for each in known})


def asset(name: str) -> str:
    """The address of a static file, changing with its content, so that it may be cached for
    good."""
    return f"{request.script_root}/static/{name}?v={_digest(name)}"


def icon(name: str, class_: str = "") -> Markup:
    """A symbol of the sprite."""
    return _icon(name, f"icon {class_}".rstrip(), asset("vendor/icons.svg"))


def when(instant: datetime | None, *, relative: bool = False) -> Markup:
    """In UTC for a reader without JavaScript; `app.js` shows their own zone instead. `relative`
    shows how long ago, and the instant itself on hover and focus."""
    if instant is None:
        return Markup("—")
    attribute = " data-relative" if relative else ""
    text = f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return Markup(f'<time datetime="{instant.isoformat()}"{attribute}>{text}</time>')  # noqa: S704  digits alone


def owner(scope: Scope) -> Markup:
    return owner_mark(scope.level.value, scope.label)


def owner_mark(level: str, label: str) -> Markup:
    return _remembered("layout/_marks.html", "owner", level, label)


def cloud_name(key: str) -> Markup:
    return _remembered("layout/_marks.html", "cloud_name", key)


def os_name(family: str, version: str) -> Markup:
    return _remembered("layout/_marks.html", "os_name", family, version)


def state_badge(state: str) -> Markup:
    return _remembered("layout/_marks.html", "state_badge", state)


def status_badge(status: str, verified: bool) -> Markup:
    return _remembered("layout/_marks.html", "status_badge", status, verified)


def row(image: ListedImage, shown: Hashable) -> Markup:
    """A row of the Images page; see `_row.html` for what `shown` says."""
    return _remembered("list/_row.html", "row", image, shown)


def _remembered(template: str, macro: str, *arguments: Hashable) -> Markup:
    """What a macro gives, where that follows from its arguments alone."""
    return _made(template, macro, arguments, request.script_root)


@lru_cache(8192)
def _made(template: str, macro: str, arguments: tuple[Hashable, ...], _root: str) -> Markup:
    """`_root` is part of the addresses of symbols."""
    made: Markup = getattr(current_app.jinja_env.get_template(template).module, macro)(*arguments)
    return made


@lru_cache(4096)
def _icon(name: str, class_: str, sprite: str) -> Markup:
    return Markup('<svg class="{}" aria-hidden="true"><use href="{}#{}"></use></svg>').format(
        class_, sprite, name
    )


@cache
def _digest(name: str) -> str:
    content = (STATIC / name).read_bytes()
    return hashlib.sha256(content).hexdigest()[:12]
