"""Write the audit log, which shows who changed what, and when. `log.py` reads it.

Call `record` inside the transaction of the change, so that the database stores the change and its
entry together or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from models import AuditEntry, EditedTable, Scope
from webapp.access import Actor

REGISTRY = "The registry"
"""Recorded instead of a person's name for a change that the application makes by itself."""
Changes = Mapping[str, tuple[Any, Any]]
SECRET = "(secret)"  # noqa: S105  a replacement for a secret
"""Recorded instead of the value of a secret. The log shows only that the secret changed."""

VALUE_LENGTH = 1000
"""The maximum length of one value in an entry, in characters."""
VALUE_LENGTH_IF_MANY = 100
"""The maximum length of one value in an entry that has more than MANY_CHANGES changes."""
MANY_CHANGES = 20
"""An entry with more changes has shorter values."""
MANY_ITEMS = 50
"""The maximum number of items of a value that is a list. An image can have this many tags."""

_ABBREVIATIONS = {"arn": "ARN", "ca": "CA", "gb": "(GB)", "id": "ID", "os": "OS", "url": "URL"}
ACTIONS = {
    "image.register": "registered the image",
    "image.edit": "edited the image",
    "image.promote": "promoted the image",
    "image.check": "checked the image",
    "image.due": "applied a due date to the image",
    "image.merge": "merged a duplicate record into the image",
    "image.delete": "deleted the image",
    "image.undelete": "restored the deleted image",
    "image.deprecate": "deprecated the image",
    "image.retire": "retired the image",
    "image.restore": "reactivated the image",
    "image.successor": "deleted or restored the successor of the image",
    "view.share": "shared the view",
    "view.edit": "edited the shared view",
    "view.unshare": "stopped sharing the view",
    "view.remove": "deleted the shared view",
    "credentials.add": "added the credentials",
    "credentials.edit": "edited the credentials",
    "credentials.delete": "deleted the credentials",
    "member.invite": "invited",
    "member.withdraw": "withdrew the invitation for",
    "member.join": "accepted the invitation for",
    "member.edit": "changed the role of",
    "member.remove": "removed the member",
    "member.sign_out": "ended the sessions of",
    "account.create": "created the account",
    "account.rename": "renamed the account",
    "account.delete": "deleted the account",
    "environment.create": "created the environment",
    "environment.rename": "renamed the environment",
    "environment.delete": "deleted the environment",
    "person.password": "changed the password for",
    "job.stop": "stopped the job",
}
"""The text of each action. Pages show it between the name of the person and the subject.

Entries contain the keys, so a key never changes: `image.undelete` is the restoration of a deleted
image, and `image.restore` is the reactivation of a deprecated or retired image.
"""


def record(
    actor: Actor | None,
    scope: Scope | None,
    action: str,
    subject: str,
    *,
    changes: Changes | None = None,
    record: EditedTable | None = None,
) -> None:
    """Write one entry. `action` is a key of ACTIONS.

    `actor` is None if the application makes the change by itself. `scope` is None if the person
    changes their own account. `record` is the changed record after it was saved, so its revision is
    the revision after the change. If both values of a field in `changes` are equal, the entry does
    not contain the field, unless the values are SECRET.
    """
    if action not in ACTIONS:
        raise ValueError(action)
    changes = changes or {}
    changed = {
        name: [_bounded(value, len(changes)) for value in values]
        for name, values in changes.items()
        if values[0] != values[1] or values[1] == SECRET
    }
    AuditEntry.create(
        scope=scope,
        scope_label=scope.label if scope else "",
        person=actor.person if actor else None,
        person_name=actor.person.name if actor else REGISTRY,
        action=action,
        subject=subject[:255],
        record=record.reference if record else "",
        job_id=actor.job_id if actor else None,
        revision=record.revision if record else None,
        changes=changed,
    )


def describe_several(action: str, count: str) -> str:
    """Return the text of an action for several subjects, such as “edited 12 images”."""
    text = ACTIONS[action]
    if "the image" in text:
        return text.replace("the image", f"{count} images")
    return f"{text} ({count} times)"


def _bounded(value: Any, change_count: int) -> Any:
    """Return `value`, shortened if it is long.

    `change_count` is the number of changes of the entry. A page shows many entries, so no entry may
    be large, whatever a cloud or a person sent. Two different values stay different, because
    `webapp.revisions` compares them to find conflicts.
    """
    length = VALUE_LENGTH if change_count <= MANY_CHANGES else VALUE_LENGTH_IF_MANY
    if isinstance(value, str):
        return value if len(value) <= length else f"{value[:length]}{_shortening_note(value)}"
    if isinstance(value, list | tuple):
        items = [_bounded(item, change_count) for item in value[:MANY_ITEMS]]
        return items if len(value) <= MANY_ITEMS else [*items, _shortening_note(repr(value))]
    return value


def _shortening_note(text: str) -> str:
    """Return a note for the end of a shortened value, with a digest of the whole value."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"… (shortened, {digest[:8]})"


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the fields of `after` that differ from `before`, each as (old value, new value)."""
    return {
        name: (before.get(name), value)
        for name, value in after.items()
        if before.get(name) != value
    }


def field_label(name: str) -> str:
    """Return the label of a changed field, for example 'OS version' for `os_version`.

    Some fields already have a label as their name, for example 'Hyper-V generation'. Such a name is
    returned unchanged.
    """
    if name != name.lower():
        return name
    words = [_ABBREVIATIONS.get(word, word) for word in name.split("_")]
    label = " ".join(words)
    return label[0].upper() + label[1:]
