"""Conversion of Compute Engine's description of an image into ImageDetails.

This module knows the fields of the response, but not the SDK.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from webapp.clouds.details import REPLACEMENT, Fact, ImageDetails, ImageState
from webapp.clouds.gce.ids import ImageRef
from webapp.clouds.instants import parse_instant
from webapp.clouds.messages import join_first, since

STATUSES = {
    "READY": (ImageState.AVAILABLE, ""),
    "PENDING": (ImageState.PENDING, "The image is still being created and can’t be used yet."),
    "FAILED": (ImageState.FAILED, "Google failed to create this image. It can’t be used."),
    "DELETING": (
        ImageState.GONE,
        "The image is being deleted. New instances can’t be created from it.",
    ),
}
_NOT_USABLE = "New instances can’t be created from this image."
DEPRECATIONS = {
    "DEPRECATED": (
        ImageState.DEPRECATED,
        "This image has been deprecated {since}. It still works, but a newer image is recommended.",
    ),
    "OBSOLETE": (
        ImageState.DISABLED,
        f"This image has been obsolete {{since}}. {_NOT_USABLE}",
    ),
    "DELETED": (
        ImageState.GONE,
        f"This image has been marked as deleted {{since}}. {_NOT_USABLE}",
    ),
}
"""The `ImageState` and its note, by the stage of the deprecation that Google reports.

The stages are in chronological order. Google reports the date of each stage in a field whose name
is the stage in lower case. For example, the date of `DEPRECATED` is in the field `deprecated`.
"""
ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64", "ARCHITECTURE_UNSPECIFIED": ""}
_TEXT_FIELDS = (
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
MAX_SHOWN = 12
"""The maximum number of labels, and of licenses, to show."""
_GIB = 1 << 30


def image_details(image: Mapping[str, Any], requested: ImageRef) -> ImageDetails:
    """Return the details of `image`, which is a result of the SDK's `Image.to_dict`."""
    image = {**dict.fromkeys(_TEXT_FIELDS, ""), **image}
    deprecation = image.get("deprecated") or {}
    reference = _canonical_reference(image, requested)
    replacement = _replacement(deprecation, reference)
    state, note = _state(image, deprecation, replacement)
    return ImageDetails(
        name=image["name"],
        description=image["description"],
        architecture=ARCHITECTURES.get(image["architecture"], image["architecture"]),
        size_gb=int(image["disk_size_gb"] or 0) or None,
        state=state,
        state_note=note,
        created_at=parse_instant(image["creation_timestamp"]),
        deprecated_at=_deprecation_date(deprecation),
        facts=tuple(_facts(image, deprecation, reference, replacement)),
        volumes=(),
        os_texts=tuple(_os_texts(image)),
        warnings=tuple(_warnings(image)),
        image_id="" if reference == requested else str(reference),
        ends_at=_end_date(deprecation),
    )


def is_requested_image(image: Mapping[str, Any], requested: ImageRef) -> bool:
    """Return whether the response is about the requested image."""
    name = image.get("name")
    if requested.is_family:
        return bool(name) and image.get("family") == requested.name
    return bool(name) and requested.name in {name, image.get("id")}


def resource_path(link: str) -> str:
    """Return the part of `link` after `projects/`, or the whole link if it has no such part."""
    return link.rpartition("/projects/")[2].removeprefix("projects/")


def _canonical_reference(image: Mapping[str, Any], requested: ImageRef) -> ImageRef:
    """Return a reference that contains the name of the image and the ID of its project.

    The request may contain the family or the number of the image instead of its name, and the
    number of the project instead of its ID.
    """
    project = requested.project
    if project.isdigit():
        project = resource_path(image["self_link"]).partition("/global/images/")[0] or project
    return ImageRef(project, image["name"])


def _replacement(deprecation: Mapping[str, Any], reference: ImageRef) -> str:
    """Return the ID of the image's replacement, or ''. An image can't replace itself."""
    replacement = resource_path(deprecation.get("replacement") or "")
    return "" if replacement == str(reference) else replacement


def _state(
    image: Mapping[str, Any], deprecation: Mapping[str, Any], replacement: str
) -> tuple[ImageState, str]:
    status = image["status"] or "none"
    state, note = STATUSES.get(
        status,
        (ImageState.FAILED, f"Google reports an unknown state for this image: {status}."),
    )
    if state is not ImageState.AVAILABLE:
        return state, note
    stage, overdue_stage = _current_stage(deprecation), _overdue_stage(deprecation)
    if stage:
        state, note = DEPRECATIONS[stage]
        note = note.format(since=_since(deprecation))
    if overdue_stage:
        state, day = ImageState.DEPRECATED, _day(deprecation[overdue_stage.lower()])
        beginning = f"This image has been deprecated {_since(deprecation)}. " if stage else ""
        note = (
            f"{beginning}The owner announced that the image would be {overdue_stage.lower()} "
            f"from {day} on. It still works, but a newer image is recommended."
        )
    elif not stage and _ends_without_deprecation(deprecation):
        return state, "The owner announced when this image will be obsolete or deleted."
    if not stage and not overdue_stage:
        return state, note
    return state, f"{note} Use {replacement} instead." if replacement else note


def _current_stage(deprecation: Mapping[str, Any]) -> str:
    """Return the stage that Google reports, or '' if the image is active."""
    stage = deprecation.get("state") or ""
    return stage if stage in DEPRECATIONS else ""


def _since(deprecation: Mapping[str, Any]) -> str:
    return since(parse_instant(deprecation.get(_current_stage(deprecation).lower())))


def _later_stages(deprecation: Mapping[str, Any]) -> list[str]:
    """Return the stages after the current stage. The dates of these stages are announcements."""
    stages, current = list(DEPRECATIONS), _current_stage(deprecation)
    return stages[stages.index(current) + 1 :] if current else stages


def _overdue_stage(deprecation: Mapping[str, Any]) -> str:
    """Return the last stage that the image should have reached by now, but has not reached.

    The announced date of this stage has passed, but Google does not report the stage. Google never
    changes the stage when a date passes: the image can be used until its owner marks the image as
    obsolete or deleted.

    Returns '' if there is no such stage, or if the image is already obsolete or deleted.
    """
    if _current_stage(deprecation) not in {"", "DEPRECATED"}:
        return ""
    now = datetime.now(UTC)
    dates = {
        each: parse_instant(deprecation.get(each.lower())) for each in _later_stages(deprecation)
    }
    return next((s for s in reversed(dates) if (start := dates[s]) and start <= now), "")


def _deprecation_date(deprecation: Mapping[str, Any]) -> datetime | None:
    """Return when the image was or will be deprecated, or None if this is unknown.

    A date in the future is ignored if the image is already deprecated, obsolete or deleted, or
    should already be obsolete or deleted.
    """
    instant = parse_instant(deprecation.get("deprecated"))
    is_planned = instant is not None and instant > datetime.now(UTC)
    return (
        None
        if is_planned and (_current_stage(deprecation) or _overdue_stage(deprecation))
        else instant
    )


def _end_date(deprecation: Mapping[str, Any]) -> datetime | None:
    """Return the first announced time at which the image becomes obsolete or deleted, or None."""
    ends = (
        parse_instant(deprecation.get(stage.lower()))
        for stage in _later_stages(deprecation)
        if stage != "DEPRECATED"
    )
    return min(filter(None, ends), default=None)


def _ends_without_deprecation(deprecation: Mapping[str, Any]) -> bool:
    """Return whether the owner announced an end of the image, but no deprecation."""
    return _end_date(deprecation) is not None and _deprecation_date(deprecation) is None


def _announcement(deprecation: Mapping[str, Any], stage: str) -> str:
    """Return the announcement of a stage that the image has not reached, or ''."""
    day = _day(deprecation.get(stage.lower()))
    return f"Announced for {day}" if day and stage in _later_stages(deprecation) else ""


def _facts(
    image: Mapping[str, Any],
    deprecation: Mapping[str, Any],
    reference: ImageRef,
    replacement: str,
) -> Iterator[Fact]:
    facts = (
        ("project", "Project", reference.project),
        ("number", "Image number", image["id"]),
        ("family", "Image family", image["family"]),
        (REPLACEMENT, "Replacement", replacement),
        ("obsolete", "Obsolescence", _announcement(deprecation, "OBSOLETE")),
        ("deleted", "Deletion", _announcement(deprecation, "DELETED")),
        (
            "licenses",
            "Licenses",
            join_first([_last_segment(link) for link in image.get("licenses", ())], MAX_SHOWN),
        ),
        ("features", "Guest OS features", ", ".join(_features(image))),
        ("archive_size", "Archive size", _size(int(image["archive_size_bytes"] or 0))),
        ("locations", "Stored in", ", ".join(image.get("storage_locations", ()))),
        ("source", "Created from", _source(image)),
        ("encryption", "Encryption key", _encryption_key(image)),
        (
            "confidential",
            "Confidential computing",
            "Yes" if image.get("enable_confidential_compute") else "",
        ),
        (
            "labels",
            "Labels",
            join_first(
                [_label(*pair) for pair in sorted(image.get("labels", {}).items())], MAX_SHOWN
            ),
        ),
    )
    return (Fact(key, label, str(value)) for key, label, value in facts if value)


def _warnings(image: Mapping[str, Any]) -> Iterator[str]:
    key = image.get("image_encryption_key") or {}
    if key.get("kms_key_name"):
        yield (
            "The image is encrypted with a Cloud KMS key. Instances can be created from the image "
            "only with permission to use the key."
        )
    elif any(key.values()):
        yield (
            "The image is encrypted with a key supplied by its owner. The key is required to "
            "create an instance from the image."
        )


def _os_texts(image: Mapping[str, Any]) -> Iterable[str]:
    """Return the texts that may name the operating system.

    The licenses come first. They are reliable, although they do not always name the version. The
    family and the name are less reliable, because the owner of the image chooses them.
    """
    licenses = [_last_segment(link) for link in image.get("licenses", ())]
    windows = "Windows" if "WINDOWS" in _features(image) else ""
    texts = (*licenses, image["family"], image["name"], image["description"], windows)
    return filter(None, texts)


def _features(image: Mapping[str, Any]) -> list[str]:
    features = image.get("guest_os_features", ())
    return [feature["type_"] for feature in features if feature.get("type_")]


def _source(image: Mapping[str, Any]) -> str:
    """Return the resource that the image was created from, or '' if Google names none."""
    links = (image[f"source_{kind}"] for kind in ("image", "snapshot", "disk"))
    archive = (image.get("raw_disk") or {}).get("source")
    return next((resource_path(link) for link in links if link), archive or "")


def _encryption_key(image: Mapping[str, Any]) -> str:
    key = image.get("image_encryption_key") or {}
    return key.get("kms_key_name") or ("Supplied by the owner" if any(key.values()) else "")


def _label(name: str, value: str) -> str:
    return f"{name}: {value}" if value else name


def _last_segment(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2]


def _size(size_bytes: int) -> str:
    if size_bytes >= _GIB:
        return f"{size_bytes / _GIB:.1f} GB"
    return f"{size_bytes / 2**20:.0f} MB" if size_bytes else ""


def _day(text: str | None) -> str:
    instant = parse_instant(text)
    return f"{instant.astimezone(UTC):%Y-%m-%d}" if instant else ""
