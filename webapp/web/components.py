"""Small pieces of HTML that pages repeat: icons, badges, times, and the rows of the Images page.

Plain functions make the pieces and escape each text. A page has hundreds of pieces, and a Jinja
macro takes many times as long as a function. Only icons and badges are cached, because there are
only a few different icons and badges.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from flask import Flask, current_app, request
from jinja2.filters import do_truncate
from markupsafe import Markup, escape

from models import LifeCycle, Scope
from schema.tags import token_of
from webapp.audit import field_label
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.images import operating_systems
from webapp.search.keys import Key
from webapp.search.query import Term
from webapp.search.rows import ListedImage
from webapp.values.tags import describe_change, join_tags
from webapp.web.static_files import versioned_path

DESCRIPTION_LENGTH = 120
"""The approximate maximum length of a description in a row, in characters."""
ROW_TAGS = 3
"""The maximum number of tags that a row shows. The tooltip of the cell has all tags."""
SHORT_ID_LENGTH = 44
"""The maximum length of a cloud image ID in a row, in characters.

If an ID is longer, the row shows the end of the ID.
"""
_STATE_COLORS: dict[str, str] = {
    ImageState.AVAILABLE: "state-green",
    ImageState.DEPRECATED: "state-yellow",
    ImageState.PENDING: "state-azure",
    ImageState.UNKNOWN: "state-gray",
}
_INSTANT_FIELDS = frozenset({"Created", "Deprecated"})
"""The labels of fields whose values are instants. `webapp.images.image_details` defines them."""
_STATE_ICONS: dict[str, str] = {
    ImageState.AVAILABLE: "circle-check",
    ImageState.PENDING: "clock",
    ImageState.UNKNOWN: "help",
}
_STATE_LABELS: dict[str, str] = {state: state.label for state in ImageState}


class RowOptions(NamedTuple):
    """How the rows of the Images page are shown.

    `columns` are pairs of a key and a label. `id_below_name` shows the cloud image ID below the
    name. `images_url` is the URL of the Images page. With `selectable`, each image of the current
    scope has a checkbox, which is ticked if `selected_ids` contains the ID of the image. `scope_id`
    is the ID of the current scope, and `scope_ids_above` are the IDs of the scopes above it. An
    image that belongs to none of these scopes belongs to a scope below. `url_below(level, path)`
    returns the URL of the Images page of the scope with this level and path.
    """

    columns: tuple[tuple[str, str], ...]
    id_below_name: bool
    images_url: str
    scope_id: int
    scope_ids_above: Sequence[int]
    selectable: bool
    url_below: Callable[[str, str], str]
    selected_ids: Collection[int] = ()


def init_app(app: Flask) -> None:
    """Make the components available in all templates."""
    badges = (scope_badge, cloud_icon, cloud_name, os_name, state_badge)
    functions: tuple[Callable[..., object], ...] = (
        asset,
        icon,
        when,
        field_label,
        field_value,
        tag_changes,
        tag_search,
        short_id,
        *badges,
        image_rows,
    )
    app.jinja_env.globals.update({function.__name__: function for function in functions})


def asset(name: str) -> str:
    """Return the URL of a static file.

    The URL changes with the content of the file, so browsers may cache the file.
    """
    return _asset(request.script_root, name)


def icon(name: str, class_: str = "") -> Markup:
    """Return an icon of `vendor/icons.svg` as HTML."""
    return _icon(request.script_root, name, class_)


def when(instant: datetime | None, *, relative: bool = False) -> Markup:
    """Return an instant as HTML, or a dash for None.

    The HTML shows the instant in UTC. If JavaScript is enabled, `app.js` then shows the instant in
    the reader's time zone. With `relative`, `app.js` shows how long ago the instant was, and shows
    the instant itself on hover and focus.
    """
    if instant is None:
        return Markup("—")
    # HTML allows at most three decimal places for seconds, but an instant can have six.
    text = instant.astimezone(UTC).isoformat(timespec="seconds")
    attribute = " data-relative" if relative else ""
    return Markup(  # noqa: S704  only digits
        f'<time datetime="{text}"{attribute}>{text[:10]} {text[11:16]} UTC</time>'
    )


def field_value(name: str, value: object) -> object:
    """Return the value of a changed field for display. `name` is the field's name or label.

    Booleans become 'Yes' and 'No', and lists are joined with commas. If `name` is the label of an
    instant, a size or a state, the value has the same format as on the page of the image.
    """
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, list):
        return join_tags(value) if name.lower() == "tags" else ", ".join(map(str, value))
    if name in _INSTANT_FIELDS and isinstance(value, str):
        return _when_iso(value)
    if name == "Size" and isinstance(value, int):
        return f"{value} GB"
    if name == "State":
        return _STATE_LABELS.get(str(value), value)
    return value


def tag_changes(before: object, after: object) -> str:
    """Return the difference between two lists of tags in words.

    None counts as an empty list. The audit log can contain a shortened text instead of a long list.
    In this case, return ''.
    """
    before, after = before or [], after or []
    if not isinstance(before, list | tuple) or not isinstance(after, list | tuple):
        return ""
    return describe_change(before, after)


def tag_search(tag: str) -> str:
    """Return the text of a search for the images with this tag."""
    return str(Term(Key.TAG, token_of(tag)))


def _when_iso(text: str) -> object:
    """Return the HTML for an instant in ISO 8601 format. Return any other text unchanged."""
    try:
        return when(datetime.fromisoformat(text))
    except ValueError:
        return text


def scope_badge(scope: Scope) -> Markup:
    """Return the badge of a scope that owns a record: a square with the first letter of its level.

    The tooltip of the badge is “Owned by” and the label of the scope.
    """
    return _scope_badge(scope.level.value, scope.label)


def short_id(cloud_image_id: str) -> str:
    """Return the ID, or the end of a long ID. Long IDs often differ only at their end."""
    if len(cloud_image_id) <= SHORT_ID_LENGTH:
        return cloud_image_id
    return f"…{cloud_image_id[1 - SHORT_ID_LENGTH :]}"


def cloud_icon(key: str, class_: str = "") -> Markup:
    """Return the icon of a cloud in its color."""
    return _brand_icon(request.script_root, CLOUDS[key].icon, class_)


def cloud_name(key: str) -> Markup:
    """Return the icon and the name of a cloud."""
    return _cloud_name(request.script_root, key)


def os_name(family: str, version: str) -> Markup:
    """Return the icon and the name of an operating system."""
    return _os_name(request.script_root, family, version)


def state_badge(state: str) -> Markup:
    """Return the badge for the state of an image in its cloud."""
    return _state_badge(request.script_root, state)


def image_rows(images: Iterable[ListedImage], options: RowOptions) -> Markup:
    """Return the rows of the Images page."""
    root, images_url = request.script_root, escape(options.images_url)
    columns = [(key, escape(label), _CELLS[key]) for key, label in options.columns]
    visible_here = {options.scope_id, *options.scope_ids_above}
    url_below = lru_cache(lambda level, path: escape(options.url_below(level, path)))

    def url_of(image: ListedImage) -> str:
        if image.scope_id in visible_here:
            return images_url
        return url_below(image.level, image.owner_path)

    return Markup(  # noqa: S704  every text is escaped
        "".join([_row(image, options, root, url_of(image), columns) for image in images])
    )


Cell = Callable[[ListedImage, str], str]
"""A function that returns the HTML of one cell. Its arguments are an image and the URL root.

The URL root is the path under which the app is mounted, for example `/registry`, or ''.
"""


def _row(
    image: ListedImage,
    options: RowOptions,
    root: str,
    images_url: str,
    columns: Sequence[tuple[str, str, Cell]],
) -> str:
    name, selection, image_id = escape(image.name), "", ""
    if options.selectable and image.scope_id == options.scope_id:
        checked = " checked" if image.id in options.selected_ids else ""
        selection = (
            '<td class="select-cell"><input type="checkbox" class="form-check-input" name="image" '
            f'value="{image.id}" form="bulk" aria-label="Select {name}"{checked}></td>'
        )
    elif options.selectable:
        is_inherited = image.scope_id in options.scope_ids_above
        reason = "Inherited" if is_inherited else "Owned by a scope below"
        selection = (
            f'<td class="select-cell"><span role="img" aria-label="{reason}" title="{reason}. '
            f'This image can be changed only at {escape(image.owner)}.">{_icon(root, "lock")}'
            "</span></td>"
        )
    if options.id_below_name:
        image_id = _image_id(image, root)
    cells = "".join(
        [
            f'<td class="{key}-cell" data-label="{label}">{cell(image, root)}</td>'
            for key, label, cell in columns
        ]
    )
    return (
        f'<tr>{selection}<td class="name-cell"><div class="name-line">'
        f'{_scope_badge(image.level, image.owner)} <a class="fw-bold" '
        f'href="{images_url}/{image.id}">{name}</a>{_status_badge(root, image.status)}</div>'
        f"{image_id}</td>{cells}</tr>\n"
    )


def _image_id(image: ListedImage, _root: str) -> str:
    text, attributes = short_id(image.cloud_image_id), ""
    if text != image.cloud_image_id:
        attributes = f'="{escape(image.cloud_image_id)}" title="{escape(image.cloud_image_id)}"'
    return (
        f'<div class="image-id mono text-secondary" data-copyable{attributes}>'
        f"<span>{escape(text)}</span></div>"
    )


def _location(image: ListedImage, root: str) -> str:
    location = escape(image.location or "All regions")
    return f'{_cloud_name(root, image.cloud)}<div class="text-secondary">{location}</div>'


def _os(image: ListedImage, root: str) -> str:
    return _os_name(root, image.os_family, image.os_version)


def _owner_name(image: ListedImage, _root: str) -> str:
    """Return the owner's name without its level, because the badge in the row shows the level."""
    return escape(image.owner.removeprefix(f"{image.level.capitalize()} "))


def _state(image: ListedImage, root: str) -> str:
    badge = _state_badge(root, image.state)
    if image.check_failed_at is None:
        return badge
    return f'{badge}<div class="text-secondary">Last check failed</div>'


def _tags(image: ListedImage, _root: str) -> str:
    if not image.tags:
        return "—"
    parts = [f'<span class="tag">{escape(tag)}</span>' for tag in image.tags[:ROW_TAGS]]
    if more := len(image.tags[ROW_TAGS:]):
        parts.append(f'<span class="text-secondary">+{more}</span>')
    return f'<div class="tags" title="{escape(join_tags(image.tags))}">{" ".join(parts)}</div>'


def _description(image: ListedImage, _root: str) -> str:
    return escape(do_truncate(current_app.jinja_env, image.description, DESCRIPTION_LENGTH))


# The icons and badges that are cached. `root` is the URL root, at the beginning of each icon URL.


@lru_cache(256)
def _scope_badge(level: str, label: str) -> Markup:
    return Markup(
        '<span class="owner owner-{0}" role="img" aria-label="Owned by {1}:" '
        'title="Owned by {1}">{2}</span>'
    ).format(level, label, level[0].upper())


@lru_cache(64)
def _cloud_name(root: str, key: str) -> Markup:
    cloud = CLOUDS[key]
    html = Markup('<span class="text-nowrap">{} <span>{}</span></span>')
    return html.format(_brand_icon(root, cloud.icon), cloud.label)


@lru_cache(256)
def _os_name(root: str, family: str, version: str) -> Markup:
    os_family = operating_systems.FAMILIES.get(family)
    label = operating_systems.label(family, version)
    return Markup("<span>{} {}</span>").format(
        _brand_icon(root, os_family.icon if os_family else "server"), label
    )


@lru_cache(64)
def _state_badge(root: str, state: str) -> Markup:
    name = _STATE_ICONS.get(state, "alert-triangle")
    label = _STATE_LABELS.get(state, state)
    return _badge(root, _STATE_COLORS.get(state, "state-red"), name, label)


@lru_cache(64)
def _status_badge(root: str, status: str) -> Markup:
    """Return the badge for a life cycle status, or nothing for an active image."""
    if status == LifeCycle.ACTIVE:
        return Markup()
    color = "state-yellow" if status == LifeCycle.DEPRECATED else "state-red"
    return " " + _badge(root, color, "alert-triangle", status.capitalize())


def _badge(root: str, color: str, icon_name: str, label: str) -> Markup:
    html = Markup('<span class="badge state {}">{} {}</span>')
    return html.format(color, _icon(root, icon_name), label)


def _brand_icon(root: str, name: str, class_: str = "") -> Markup:
    """Return the icon of a cloud or an operating system. `app.css` has the colors of the brands."""
    return _icon(root, name, f"color-{name} {class_}".rstrip())


@lru_cache(512)
def _icon(root: str, name: str, class_: str = "") -> Markup:
    return Markup('<svg class="{}" aria-hidden="true"><use href="{}#{}"></use></svg>').format(
        f"icon {class_}".rstrip(), _asset(root, "vendor/icons.svg"), name
    )


def _asset(root: str, name: str) -> str:
    return f"{root}{versioned_path(name)}"


_CELLS: dict[str, Cell] = {
    "id": _image_id,
    "location": _location,
    "os": _os,
    "size": lambda image, _: f"{image.size_gb} GB" if image.size_gb else "—",
    "agent": lambda image, _: "Installed" if image.agent_installed else "Not installed",
    "arch": lambda image, _: escape(image.architecture or "—"),
    "shared": lambda image, _: "Shared" if image.shared else "Not shared",
    "owner": _owner_name,
    "status": _state,
    "tags": _tags,
    "created": lambda image, _: when(image.registered_at, relative=True),
    "by": lambda image, _: escape(image.registered_by_name),
    "checked": lambda image, _: (
        when(image.checked_at, relative=True) if image.verified else "Not yet read"
    ),
    "description": _description,
}
"""The function for each column of the Images page, by column key (`webapp.people.preferences`)."""
