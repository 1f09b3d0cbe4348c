"""The command line: `flask --app webapp COMMAND`."""

from __future__ import annotations

import getpass
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from peewee import IntegrityError, SqliteDatabase

import models
from models import DATABASE_FAILURES, Membership, Person, Role, Scope, transaction
from webapp import audit, database
from webapp import backup as backups
from webapp.audit import seals
from webapp.factors import proofs
from webapp.images import due_dates
from webapp.people import accounts, directory
from webapp.refusals import Refusal
from webapp.web.services import services

log = logging.getLogger(__name__)

END_SECONDS = 20.0
"""How many seconds the command `work` may continue after SIGTERM or SIGINT."""


def init_app(app: Flask) -> None:
    commands = (
        migrate,
        backup,
        restore,
        create_admin,
        set_password,
        end_sessions,
        remove_factors,
        enable_person,
        rotate_keys,
        verify_audit,
        apply_due_dates,
        version,
        work,
    )
    for command in commands:
        app.cli.add_command(command)


@click.command()
@with_appcontext
def migrate() -> None:
    """Update the database schema to the current version."""
    with database.connection_for_command():
        applied = database.migrate(models.database.obj)
        if applied:
            _record("registry.migrate", applied[-1])
    click.echo(f"Applied: {', '.join(applied)}" if applied else "The schema is up to date.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace an older backup.")
@with_appcontext
def backup(file: Path, force: bool) -> None:
    """Write a backup of the database to FILE, even while the application is running."""
    url = _direct_database_url()
    with _refusals_explained():
        backups.require_database(models.database.obj)
    with database.connection_for_command(), _refusals_explained():
        size = backups.back_up(models.database.obj, url, file, force=force)
        # The audit entry may fail: people also back up databases that can no longer be written.
        with suppress(*DATABASE_FAILURES):
            _record("registry.backup", str(file))
    click.echo(f"Wrote a backup of the database to {file} ({size}).")
    click.echo("The backup does not contain CREDENTIALS_KEYS. Store the keys in another place.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a database that is not empty.")
@with_appcontext
def restore(file: Path, force: bool) -> None:
    """Replace the database with the backup in FILE. Stop the application first."""
    url = _direct_database_url()
    with _refusals_explained():
        if isinstance(models.database.obj, SqliteDatabase):
            outcome = backups.restore(models.database.obj, url, file, force=force)
        else:
            with database.connection_for_command():
                outcome = backups.restore(models.database.obj, url, file, force=force)
    if outcome.migrations:
        click.echo(f"Applied: {', '.join(outcome.migrations)}")
    click.echo(
        f"Restored {file}: {outcome.images:,} images, {outcome.credentials:,} cloud credentials, "
        f"{outcome.people:,} user accounts and {outcome.scopes:,} scopes."
    )
    with database.connection_for_command():
        _record("registry.restore", str(file))
        unreadable = services().vault.unreadable_names()
    if unreadable:
        names = ", ".join(f"“{name}”" for name in unreadable[:5])
        more = f" and {len(unreadable) - 5:,} more" if len(unreadable) > 5 else ""
        click.echo(
            f"No key in CREDENTIALS_KEYS can decrypt the cloud credentials {names}{more}. Add the "
            "keys from the time of the backup to CREDENTIALS_KEYS.",
            err=True,
        )


def _direct_database_url() -> str:
    """Return the URL of the database without PgBouncer.

    Raises ClickException if only the URL of PgBouncer is set.
    """
    settings = services().settings
    if settings.pgbouncer and not settings.direct_database_url:
        raise click.ClickException(
            "Backups don’t work through PgBouncer. Set DIRECT_DATABASE_URL to the URL of the "
            "database without PgBouncer."
        )
    return settings.direct_database_url or settings.database_url


@contextmanager
def _refusals_explained() -> Iterator[None]:
    """Show the message of a refusal without a traceback."""
    try:
        yield
    except Refusal as error:
        raise click.ClickException(error.message) from error


@click.command("create-admin")
@click.argument("email")
@click.option("--name", default="", help="Display name. Defaults to the e-mail address.")
@click.password_option(envvar="ADMIN_PASSWORD", help="Prompted for if omitted.")
@with_appcontext
def create_admin(email: str, name: str, password: str) -> None:
    """Create a user account with the role admin at the Scalr scope."""
    with database.connection_for_command():
        _require_current_schema()
        try:
            person = accounts.new_account(email, name, password)
            with transaction():
                person.save(force_insert=True)
                scope = Scope.get(path="")
                Membership.create(person=person, scope=scope, role=Role.ADMIN)
                _record("person.create", person.label, scope, person, {"role": (None, Role.ADMIN)})
        except Refusal as error:
            raise click.ClickException(error.message) from error
        except IntegrityError as error:
            raise click.ClickException(f"A user account for {email} already exists.") from error
    click.echo(f"Created {person.email} as an admin of the Scalr scope.")


@click.command("set-password")
@click.argument("email")
@click.password_option(envvar="NEW_PASSWORD", help="Prompted for if omitted.")
@with_appcontext
def set_password(email: str, password: str) -> None:
    """Set a new password for a user account and end its sessions."""
    with database.connection_for_command():
        _require_current_schema()
        person = Person.get_or_none(Person.email == accounts.normalized_email(email))
        if person is None:
            raise click.ClickException(f"No user account has the e-mail address {email}.")
        try:
            accounts.set_password(person, password, by=_user())
        except Refusal as error:
            raise click.ClickException(error.message) from error
    click.echo(f"Changed the password of {person.email} and ended all sessions.")


@click.command("end-sessions")
@click.argument("email", required=False)
@with_appcontext
def end_sessions(email: str | None) -> None:
    """End the sessions of a user account or, without EMAIL, of everybody."""
    with database.connection_for_command():
        _require_current_schema()
        query = Person.select()
        if email is not None:
            query = query.where(Person.email == accounts.normalized_email(email))
        people = list(query)
        if email is not None and not people:
            raise click.ClickException(f"No user account has the e-mail address {email}.")
        for person in people:
            with transaction():
                accounts.end_sessions(person)
                _record("person.end_sessions", person.label, about=person)
    whose = "everybody" if email is None else people[0].email
    click.echo(f"Ended all sessions of {whose}.")


@click.command("remove-factors")
@click.argument("email")
@with_appcontext
def remove_factors(email: str) -> None:
    """Remove the second factors and recovery codes of a user account."""
    with database.connection_for_command():
        _require_current_schema()
        person = Person.get_or_none(Person.email == accounts.normalized_email(email))
        if person is None:
            raise click.ClickException(f"No user account has the e-mail address {email}.")
        with transaction():
            if not proofs.remove_factors(person):
                raise click.ClickException(f"{person.email} has no second factor.")
            _record("person.factor_remove", person.name, about=person)
    click.echo(f"Removed the second factors of {person.email}.")


@click.command("enable-person")
@click.argument("email")
@with_appcontext
def enable_person(email: str) -> None:
    """Enable a disabled user account. The person has the same roles as before."""
    with database.connection_for_command(), _refusals_explained():
        _require_current_schema()
        person = Person.get_or_none(Person.email == accounts.normalized_email(email))
        if person is None:
            raise click.ClickException(f"No user account has the e-mail address {email}.")
        directory.enable_by_command(person.id, _user())
    click.echo(f"Enabled {person.email}.")


@click.command("rotate-keys")
@with_appcontext
def rotate_keys() -> None:
    """Re-encrypt the secrets in the database, and sign the seals of the audit log again.

    The first key in CREDENTIALS_KEYS encrypts and signs. Every key can decrypt.
    """
    vault = services().vault
    with database.connection_for_command():
        _require_current_schema()
        try:
            count = vault.rotate()
        except Refusal as error:
            raise click.ClickException(error.message) from error
        noun = "set of credentials" if count == 1 else "sets of credentials"
        _record("registry.rotate_keys", f"{count} {noun}")
        signed, failed = seals.sign_again(vault.derive_keys(seals.PURPOSE))
    click.echo(f"Re-encrypted {count} {noun} with the first key.")
    if signed:
        click.echo(f"Seals of the audit log that are signed with the first key: {signed:,}")
    if failed:
        raise click.ClickException(
            f"{failed:,} seal{'' if failed == 1 else 's'} of the audit log could not be signed, "
            "because an old signature is wrong or the key of an old signature is missing. Run "
            "`flask --app webapp verify-audit`."
        )


@click.command("verify-audit")
@click.option("--digest", default="", help="The digest of a seal that you noted earlier.")
@with_appcontext
def verify_audit(digest: str) -> None:
    """Find entries that somebody changed, removed or added in the sealed part of the audit log.

    With --digest, also check that the seal with this digest still exists.
    """
    with database.connection_for_command():
        _require_current_schema()
        keys = services().vault.derive_keys(seals.PURPOSE)
        report = seals.verify(keys, digest.strip().lower())
    entries = f"{report.entries:,} sealed {'entry' if report.entries == 1 else 'entries'}"
    click.echo(f"Checked {entries} and {report.seals:,} seal{'' if report.seals == 1 else 's'}.")
    if report.seals:
        click.echo(f"Last checked seal: {report.last_number}, digest {report.last_digest}")
    if report.fault:
        raise click.ClickException(_FAULTS[report.fault.kind].format(report.fault))
    click.echo(f"Not sealed yet: {report.unsealed:,}")
    if digest and not report.has_known_digest:
        raise click.ClickException(
            "No seal has the digest that you entered. Unless you have restored an older backup "
            "since you noted the digest, somebody removed or replaced the newest part of the log."
        )
    click.echo("No faults found.")


_FAULTS = {
    "changed": "The {0.subject} {0.number} was changed.",
    "removed": "The {0.subject} {0.number} was removed.",
    "added": "The {0.subject} {0.number} was added later.",
    "no key": (
        "The seal {0.number} cannot be checked, because its key is not in CREDENTIALS_KEYS. Add "
        "the key to the end of the setting, and run the command again. If you have never used "
        "any other key, somebody changed the seal."
    ),
}
"""The message about each kind of fault."""


@click.command("apply-due-dates")
@with_appcontext
def apply_due_dates() -> None:
    """Change the status or state of images whose dates are due.

    The application also does this automatically.
    """
    count = 0
    with models.database.connection_context():
        _require_current_schema()
        while changed := due_dates.apply_due_dates():
            count += changed
    click.echo(f"Changed {count:,} image{'' if count == 1 else 's'}.")


@click.command()
@with_appcontext
def version() -> None:
    """Print the version of the application."""
    click.echo(f"Image Registry {current_app.config['VERSION']}")


@click.command()
@with_appcontext
def work() -> None:
    """Work on jobs until SIGTERM or SIGINT, without a web server.

    After the signal, the command waits up to 20 seconds for the job rows in progress. Then it
    releases unfinished rows, so that another process can continue them.
    """
    with models.database.connection_context():
        _require_current_schema()
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ending.set())
    background = services().background
    services().warm_up.start()
    background.start()
    services().start_monitoring()
    version, pid = current_app.config["VERSION"], os.getpid()
    log.info("Image Registry %s, process %s, works on background jobs", version, pid)
    ending.wait()
    background.stop(END_SECONDS)


def _record(
    action: str,
    subject: str,
    scope: Scope | None = None,
    about: Person | None = None,
    changes: audit.Changes | None = None,
) -> None:
    """Write an audit entry whose author is the user of the operating system."""
    audit.record(None, scope, action, subject, changes=changes, by=_user(), about=about)


def _user() -> str:
    """Return the name of the user of the operating system, as the audit log shows it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container may run with a user ID that has no name.
        user = f"User {os.getuid()}"
    return f"{user} (command line)"


def _require_current_schema() -> None:
    """Raise ClickException if the database has not been migrated to this version."""
    if database.pending_migrations(models.database.obj):
        raise click.ClickException(
            "The database schema is not up to date. Run `flask --app webapp migrate` first."
        )
