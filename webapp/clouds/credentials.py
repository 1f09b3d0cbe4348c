"""The form fields that an adapter declares, and the values and the cloud account of credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from webapp.clouds.limits import NAME_LENGTH, TEXT_LENGTH, bound_texts


@dataclass(frozen=True)
class Field:
    """One input of a form: a credential field, or a part of a `Locator`."""

    name: str
    label: str
    hint: str = ""
    placeholder: str = ""
    pattern: str = ""
    """A regular expression that the whole value must match, or '' for any value."""
    required: bool = True
    secret: bool = False
    """The value is encrypted at rest and never shown again."""
    identifies_server: bool = False
    """The value decides which certificate the cloud's server must have.

    After a change of the value, people must enter the secrets again, because the stored secrets
    could otherwise be sent to a different server.
    """
    multiline: bool = False
    """The value has several lines and can be pasted or uploaded, such as a key file."""
    options: tuple[tuple[str, str], ...] = ()
    """(value, label) pairs. A field with options is a select. The first option is the default."""
    default: str = ""
    """The value in a new form."""
    when: tuple[str, str] | None = None
    """(name of a select, value). If a different value is selected, this field is hidden and not
    required."""
    free_text: bool = False
    """The form suggests values for this field, but people can enter any other text."""


class CredentialValues(Mapping[str, str]):
    """The fields of one set of credentials, unencrypted.

    The repr shows only the names of the fields, so a log line with the repr contains no secret.
    """

    def __init__(self, values: Mapping[str, str], owner: str = "") -> None:
        """`owner` is the path of the account that owns the credentials, or '' for the Scalr scope.

        `webapp.clouds.outgoing.budgets` limits the number of simultaneous calls for each owner.
        """
        self._values = dict(values)
        self.owner = owner

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"CredentialValues({', '.join(sorted(self._values))})"


@dataclass(frozen=True)
class Identity:
    """The cloud account that credentials belong to, as the cloud reports it.

    `account` is the ID or name of an account, project, subscription or vCenter. `description` names
    it for people.
    """

    account: str
    description: str

    def __post_init__(self) -> None:
        bound_texts(self, NAME_LENGTH, "account")
        bound_texts(self, TEXT_LENGTH, "description")
