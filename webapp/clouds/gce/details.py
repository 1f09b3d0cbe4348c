"""From what Compute Engine says of an image to ImageDetails. Knows the names of the answer's
fields, not the SDK."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from webapp.clouds.base import Fact, ImageDetails, ImageState
from webapp.clouds.gce.ids import ImageRef

STATUSES = {
    "READY": (ImageState.AVAILABLE, ""),
    "PENDING": (ImageState.PENDING, "Google is still making it: it cannot be used yet."),
    "FAILED": (ImageState.FAILED, "Google could not make it: it cannot be used."),
    "DELETING": (ImageState.GONE, "It is being deleted: no new server can be made from it."),
}
DEPRECATIONS = {
    "DEPRECATED": (
        ImageState.DEPRECATED,
        "Its owner has deprecated it: it can still be used, but a newer one should be",
    ),
    "OBSOLETE": (
        ImageState.DISABLED,
        "Its owner has declared it obsolete: no new server can be made from it",
    ),
    "DELETED": (
        ImageState.GONE,
        "Its owner has marked it as deleted: no new server can be made from it",
    ),
}
ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64", "ARCHITECTURE_UNSPECIFIED": ""}
_TEXTS = (
    "architecture",
    "archive_size_bytes",
    "creation_timestamp",
    "description",
    "disk_size_gb",
    "family",
    "id",
    "name",
    "self_link",
    "source_disk",
    "source_image",
    "source_snapshot",
    "status",
)
SHOWN = 12
"""How many labels or licences are shown."""
_GIB = 1 << 30


def details(image: Mapping[str, Any], wanted: ImageRef) -> ImageDetails:
    """`image` as the SDK's `Image.to_dict` gives it; `wanted` is what was asked for."""
    image = {**dict.fromkeys(_TEXTS, ""), **image}
    deprecation = image.get("deprecated") or {}
    state, note = _state(image, deprecation)
    found = _found(image, wanted)
    return ImageDetails(
        name=image["name"],
        description=image["description"],
        architecture=ARCHITECTURES.get(image["architecture"], image["architecture"]),
        size_gb=int(image["disk_size_gb"] or 0) or None,
        state=state,
        state_note=note,
        created=_instant(image["creation_timestamp"]),
        deprecated=_instant(deprecation.get("deprecated")),
        facts=tuple(_facts(image, deprecation, found)),
        volumes=(),
        os_texts=tuple(_os_texts(image)),
        warnings=tuple(_warnings(image)),
        image_id="" if found == wanted else str(found),
    )


def answers(image: Mapping[str, Any], wanted: ImageRef) -> bool:
    """Whether it is about what was asked for, as far as it says."""
    name = image.get("name")
    if wanted.family:
        return bool(name) and image.get("family") == wanted.name
    return bool(name) and wanted.name in {name, image.get("id")}


def path(link: str) -> str:
    """The part of a link that says which resource: that after `projects/`, where there is one."""
    return link.rpartition("/projects/")[2].removeprefix("projects/")


def _found(image: Mapping[str, Any], wanted: ImageRef) -> ImageRef:
    """The image by its name: what a family stands for today, or a number always."""
    project = wanted.project
    if project.isdigit():
        project = path(image["self_link"]).partition("/global/images/")[0] or project
    return ImageRef(project, image["name"])


def _state(image: Mapping[str, Any], deprecation: Mapping[str, Any]) -> tuple[ImageState, str]:
    said = image["status"] or "nothing"
    state, note = STATUSES.get(said, (ImageState.FAILED, f"Google says of its state: {said}."))
    mark = DEPRECATIONS.get(deprecation.get("state") or "")
    if state is not ImageState.AVAILABLE or mark is None:
        return state, note
    replacement = path(deprecation.get("replacement") or "")
    return mark[0], f"{mark[1]}: {replacement}." if replacement else f"{mark[1]}."


def _facts(
    image: Mapping[str, Any], deprecation: Mapping[str, Any], found: ImageRef
) -> Iterator[Fact]:
    said = (
        ("project", "Project", found.project),
        ("number", "Image number", image["id"]),
        ("family", "Image family", image["family"]),
        ("replacement", "To be replaced by", path(deprecation.get("replacement") or "")),
        ("obsolete", "Obsolete from", _day(deprecation.get("obsolete"))),
        ("deleted", "Deleted from", _day(deprecation.get("deleted"))),
        ("licences", "Licences", _some(_last(each) for each in image.get("licenses", ()))),
        ("features", "Guest OS features", ", ".join(_features(image))),
        ("archive_size", "Archive size", _size(int(image["archive_size_bytes"] or 0))),
        ("locations", "Stored in", ", ".join(image.get("storage_locations", ()))),
        ("source", "Made from", _source(image)),
        ("encryption", "Encryption key", _key(image)),
        (
            "confidential",
            "Confidential computing",
            "Yes" if image.get("enable_confidential_compute") else "",
        ),
        (
            "labels",
            "Labels",
            _some(_label(*each) for each in sorted(image.get("labels", {}).items())),
        ),
    )
    return (Fact(key, label, str(value)) for key, label, value in said if value)


def _warnings(image: Mapping[str, Any]) -> Iterator[str]:
    key = image.get("image_encryption_key") or {}
    if key.get("kms_key_name"):
        yield (
            "It is encrypted with a key of Cloud KMS: servers can be made from it only where that "
            "key may be used."
        )
    elif any(key.values()):
        yield "It is encrypted with its owner's own key, which has to be given with every server."


def _os_texts(image: Mapping[str, Any]) -> Iterable[str]:
    """Licences tell for certain what is inside, if not always the version; a family and a name are
    what its owner calls it."""
    licences = [_last(each) for each in image.get("licenses", ())]
    windows = "Windows" if "WINDOWS" in _features(image) else ""
    said = (*licences, image["family"], image["name"], image["description"], windows)
    return filter(None, said)


def _features(image: Mapping[str, Any]) -> list[str]:
    features = image.get("guest_os_features", ())
    return [each["type_"] for each in features if each.get("type_")]


def _source(image: Mapping[str, Any]) -> str:
    """The first of those that are given: there is one."""
    links = (image[f"source_{kind}"] for kind in ("image", "snapshot", "disk"))
    archive = (image.get("raw_disk") or {}).get("source")
    return next((path(link) for link in links if link), archive or "")


def _key(image: Mapping[str, Any]) -> str:
    key = image.get("image_encryption_key") or {}
    return key.get("kms_key_name") or ("Its owner's own" if any(key.values()) else "")


def _label(name: str, value: str) -> str:
    return f"{name}: {value}" if value else name


def _some(texts: Iterable[str]) -> str:
    every = list(texts)
    more = len(every) - SHOWN
    shown = ", ".join(every[:SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def _last(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2]


def _size(number: int) -> str:
    """To be read, not reckoned with."""
    if number >= _GIB:
        return f"{number / _GIB:.1f} GB"
    return f"{number / 2**20:.0f} MB" if number else ""


def _day(text: str | None) -> str:
    instant = _instant(text)
    return f"{instant.astimezone(UTC):%Y-%m-%d}" if instant else ""


def _instant(text: str | None) -> datetime | None:
    """None also for what is no date: an endpoint that is not Google's own may write anything."""
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
