"""The keys of the search terms of the audit log, and the values that each key accepts."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from webapp.audit import ACTIONS


class Key(enum.StrEnum):
    """The property of an entry that a term refers to."""

    WORD = "word"
    """A term without a key: matches any part of the name of the subject."""
    BY = "by"
    DID = "did"
    ON = "on"
    AT = "at"
    JOB = "job"


KEYS = [key for key in Key if key is not Key.WORD]
"""The keys that a person can type before a colon. The interface calls such a key a token."""
HINTS = {
    Key.BY: "person: name or e-mail address, for example by:me",
    Key.DID: "action, for example did:delete",
    Key.ON: "kind of the changed record, or beginning of its name, for example on:credentials",
    Key.AT: "time, for example at:today, at:7d or at:>2026-01-31",
    Key.JOB: "ID of a job",
}
EXAMPLES = {
    Key.BY: "by:me",
    Key.DID: "did:delete",
    Key.ON: "on:image",
    Key.AT: "at:2026-11",
    Key.JOB: "job:12",
}
_VERBS = {
    "image.due": "apply",
    "image.undelete": "restore",
    "image.restore": "reactivate",
    "image.plan_deprecation": "plan",
    "image.plan_retirement": "plan",
    "image.cancel_plan": "plan",
    "view.remove": "delete",
    "member.join": "accept",
    "member.edit": "role",
    "member.sign_out": "sign-out",
    "member.rule": "create",
    "member.rule_edit": "edit",
    "member.rule_delete": "remove",
    "member.require_factor": "edit",
    "person.reset": "password",
    "person.end_sessions": "sign-out",
    "person.sign_out": "sign-out",
    "person.sign_out_others": "sign-out",
    "person.sign_in": "sign-in",
    "person.refused": "failed-sign-in",
    "person.throttled": "failed-sign-in",
    "person.link": "add",
    "person.unlink": "remove",
    "person.factor_add": "add",
    "person.factor_remove": "remove",
    "person.factor_rename": "rename",
    "person.passkey_copied": "failed-sign-in",
    "person.recovery_codes": "recovery",
    "registry.rotate_keys": "rotate-keys",
    "token.refused": "failed-sign-in",
    "token.rule": "create",
    "token.rule_delete": "delete",
    "token.exchange": "sign-in",
    "token.exchange_refused": "failed-sign-in",
}
"""The values of `did:` for these actions.

For any other action, the value is the second part of its key, such as `edit` for `image.edit`.
"""
DID = {
    verb: frozenset(
        action for action in ACTIONS if _VERBS.get(action, action.partition(".")[2]) == verb
    )
    for verb in (
        *("register", "edit", "promote", "check", "apply", "merge", "delete", "restore"),
        *("deprecate", "retire", "reactivate", "plan", "successor", "share", "unshare", "add"),
        *("invite", "withdraw", "accept", "role", "remove", "create", "rename", "password"),
        *("disable", "enable", "stop", "sign-in", "failed-sign-in", "sign-out", "recovery"),
        *("rotate", "revoke", "migrate", "backup", "rotate-keys"),
    )
}
"""The actions that each value of `did:` finds."""
DID_LABELS = {
    "apply": "applied a due date",
    "plan": "planned or canceled a date",
    "successor": "lost or regained a successor",
    "unshare": "stopped sharing",
    "role": "changed a role",
    "password": "changed a password",
    "withdraw": "withdrew an invitation",
    "stop": "stopped",
    "sign-in": "signed in",
    "failed-sign-in": "failed to sign in",
    "sign-out": "signed out or ended sessions",
    "recovery": "used or created recovery codes",
    "backup": "backed up",
    "rotate-keys": "rotated keys",
}
ON = {
    kind: frozenset(action for action in ACTIONS if action.startswith(f"{kind}."))
    for kind in dict.fromkeys(action.partition(".")[0] for action in ACTIONS)
}
"""The actions on each kind of subject: image, credentials, environment, …"""


def _past_tense(verb: str) -> str:
    return f"{verb}d" if verb.endswith("e") else f"{verb}ed"


DID_SPELLINGS = {verb: verb for verb in DID} | {
    **{_past_tense(verb): verb for verb in DID if verb not in DID_LABELS},
    "planned": "plan",
    "withdrew": "withdraw",
    "stopped": "stop",
    "undelete": "restore",
}
"""Every spelling of a value of `did:`, such as "deleted" for "delete"."""
ON_SPELLINGS = {kind: kind for kind in ON} | {
    f"{kind}s": kind for kind in ON if not kind.endswith("s")
}
ON_SPELLINGS["people"] = "person"


def did_label(verbs: Iterable[str]) -> str:
    return " or ".join(DID_LABELS.get(verb, _past_tense(verb)) for verb in verbs)
