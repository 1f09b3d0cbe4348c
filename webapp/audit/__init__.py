"""Write the audit log, which shows who changed what, and when. `log.py` reads it.

Call `record` inside the transaction of the change, so that the database stores the change and its
entry together or not at all.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from models import AuditEntry, EditedTable, Person, Scope, after_commit
from webapp.access import Actor

REGISTRY = "The registry"
"""Recorded instead of a person's name for a change that the application makes automatically."""
STRANGER = "Somebody"
"""Recorded instead of a person's name for a refused sign-in, token or ID token."""
Changes = Mapping[str, tuple[Any, Any]]
"""The old and the new value of each changed field, by the name of the field."""
SECRET = "(secret)"  # noqa: S105  a replacement for a secret
"""Recorded instead of the value of a secret. The log shows only that the secret changed."""

VALUE_LENGTH = 1000
"""The maximum length of one value in an entry, in characters.

A note follows a value that was shortened to this length.
"""
VALUE_LENGTH_IF_MANY = 100
"""The maximum length of one value in an entry that has more than MANY_CHANGES changes."""
MANY_CHANGES = 20
"""In an entry with more changes than this, values are shortened to VALUE_LENGTH_IF_MANY."""
MANY_ITEMS = 50
"""The maximum number of items of a value that is a list.

An image can have at most this many tags, so no tag is left out.
"""

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
    "image.plan_deprecation": "planned the deprecation of the image",
    "image.plan_retirement": "planned the retirement of the image",
    "image.cancel_plan": "canceled the planned dates of the image",
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
    "member.rule": "created the role rule",
    "member.rule_edit": "edited the role rule",
    "member.rule_delete": "removed the role rule",
    "member.require_factor": "changed whether members need a second factor at",
    "account.create": "created the account",
    "account.rename": "renamed the account",
    "account.delete": "deleted the account",
    "environment.create": "created the environment",
    "environment.rename": "renamed the environment",
    "environment.delete": "deleted the environment",
    "person.password": "changed the password for",
    "person.reset": "reset the password for",
    "person.sign_in": "signed in with",
    "person.sign_out": "signed out of",
    "person.sign_out_others": "signed out everywhere except",
    "person.refused": "failed to sign in as",
    "person.throttled": "tried too often to sign in as",
    "person.create": "created the user account",
    "person.end_sessions": "ended the sessions of",
    "person.disable": "disabled the person",
    "person.enable": "enabled the person",
    "person.remove": "removed the person",
    "person.link": "linked the account",
    "person.unlink": "unlinked the account",
    "person.factor_add": "added a second factor for",
    "person.factor_remove": "removed a second factor of",
    "person.factor_rename": "renamed a second factor of",
    "person.passkey_copied": "failed to sign in with a copied passkey as",
    "person.recovery": "used a recovery code of",
    "person.recovery_codes": "created new recovery codes for",
    "job.stop": "stopped the job",
    "token.create": "created the token",
    "token.rotate": "rotated the token",
    "token.revoke": "revoked the token",
    "token.refused": "failed to use the token",
    "token.rule": "created the token rule",
    "token.rule_delete": "deleted the token rule",
    "token.exchange": "exchanged an ID token by the rule",
    "token.exchange_refused": "failed to exchange",
    "registry.migrate": "migrated the database to",
    "registry.backup": "backed up the database to",
    "registry.restore": "restored the database from",
    "registry.rotate_keys": "used the first key to re-encrypt",
}
"""The text of each action. Pages show it between the name of the person and the subject.

Entries contain the keys, so a key never changes, even if its text does. `image.undelete` means that
a deleted image was restored. `image.restore` means that a deprecated or retired image was
reactivated.
"""
SECURITY_KINDS = frozenset({"person", "member", "credentials", "registry", "token"})
"""The kinds of actions that the application also logs as lines of the security log."""
FAILURES = frozenset(
    {
        "person.refused",
        "person.throttled",
        "person.passkey_copied",
        "token.refused",
        "token.exchange_refused",
    }
)
"""The security events that are logged as warnings."""
LOGGED_CHANGES = ("address", "method", "reason", "role", "second_factor_required")
"""The fields whose new values are part of a line of the security log."""
security_log = logging.getLogger("webapp.security")


def record(
    actor: Actor | None,
    scope: Scope | None,
    action: str,
    subject: str,
    *,
    changes: Changes | None = None,
    record: EditedTable | None = None,
    by: str = REGISTRY,
    about: Person | None = None,
) -> None:
    """Write one entry. `action` is a key of ACTIONS.

    `actor` is None if no signed-in person makes the change. The entry then contains `by` instead of
    a person's name. `scope` is None if the change belongs to no scope, for example a sign-in.

    `record` is the changed record. Save the record before you call this function, because the entry
    contains its revision after the change. `about` is the person whom a security event is about, if
    this person is not the actor. If the old and the new value of a field are equal, the entry does
    not contain the field, unless the values are SECRET.
    """
    if action not in ACTIONS:
        raise ValueError(action)
    changes = changes or {}
    stored_changes = {
        name: [_shorten_if_long(value, len(changes)) for value in values]
        for name, values in changes.items()
        if values[0] != values[1] or values[1] == SECRET
    }
    AuditEntry.create(
        scope=scope,
        scope_label=scope.label if scope else "",
        person=actor.person if actor else None,
        person_name=actor.person.name if actor else by,
        person_email=actor.person.email if actor and not actor.person.is_service else "",
        token_name=actor.token.name if actor and actor.token else "",
        action=action,
        subject=subject[:255],
        record=record.reference if record else "",
        job_id=actor.job_id if actor else None,
        revision=record.revision if record else None,
        changes=stored_changes,
    )
    if action.partition(".")[0] in SECURITY_KINDS:
        values = {
            "by": actor.person.id if actor else None,
            "token": actor.token.key if actor and actor.token else None,
            "about": about.id if about else None,
            "at": (scope.path or "scalr") if scope else None,
            "record": record.reference if record else None,
            **{name: changes[name][1] for name in LOGGED_CHANGES if name in changes},
        }
        after_commit(lambda: log_event(action, values))


def log_event(action: str, values: Mapping[str, Any]) -> None:
    """Write one line of the security log, with IDs instead of names and e-mail addresses."""
    fields = {
        "event": action,
        **{f"event_{name}": value for name, value in values.items() if value is not None},
    }
    text = " ".join(f"{name}={value}" for name, value in fields.items())
    level = logging.WARNING if action in FAILURES else logging.INFO
    security_log.log(level, "%s", text, extra={"more_fields": fields})


def describe_several(action: str, count: str) -> str:
    """Return the text of an action for several subjects, such as “edited 12 images”."""
    text = ACTIONS[action]
    if "the image" in text:
        return text.replace("the image", f"{count} images")
    return f"{text} ({count} times)"


def _shorten_if_long(value: Any, change_count: int) -> Any:
    """Return `value`, shortened if it is long.

    `change_count` is the number of changes of the entry. A page shows many entries, so no entry may
    be large, even if a cloud or a person sent a long text. If two values differ, their shortened
    forms differ too, because `webapp.revisions` compares them to find conflicts.
    """
    length = VALUE_LENGTH if change_count <= MANY_CHANGES else VALUE_LENGTH_IF_MANY
    if isinstance(value, str):
        return value if len(value) <= length else f"{value[:length]}{_shortening_note(value)}"
    if isinstance(value, list | tuple):
        items = [_shorten_if_long(item, change_count) for item in value[:MANY_ITEMS]]
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
