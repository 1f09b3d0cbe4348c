"""The command line: `flask --app webapp COMMAND`."""

from __future__ import annotations

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from peewee import IntegrityError

import models
from models import Membership, Person, Role, Scope, transaction
from webapp import database
from webapp.credentials.vault import VaultError
from webapp.people import accounts as people
from webapp.web.services import services


def init_app(app: Flask) -> None:
    for command in (migrate, create_admin, set_password, rotate_keys, version):
        app.cli.add_command(command)


@click.command()
@with_appcontext
def migrate() -> None:
    """Bring the database's schema up to date."""
    with models.database.connection_context():
        applied = database.migrate(models.database.obj)
    click.echo(f"Applied: {', '.join(applied)}" if applied else "The schema is up to date.")


@click.command("create-admin")
@click.argument("email")
@click.option("--name", default="", help="How people call them; the e-mail address if not given.")
@click.password_option(envvar="ADMIN_PASSWORD", help="Asked for if not given.")
@with_appcontext
def create_admin(email: str, name: str, password: str) -> None:
    """Make a person who is admin at Scalr."""
    with models.database.connection_context():
        scalr = Scope.at("")
        if scalr is None:
            raise click.ClickException("Run `flask --app webapp migrate` first.")
        try:
            with transaction():
                person = people.create(email, name, password)
                Membership.create(person=person, scope=scalr, role=Role.ADMIN)
        except people.PasswordRefused as error:
            raise click.ClickException(str(error)) from error
        except IntegrityError as error:
            raise click.ClickException(f"{email} exists already.") from error
    click.echo(f"{person.email} can sign in and is an admin at Scalr.")


@click.command("set-password")
@click.argument("email")
@click.password_option(envvar="NEW_PASSWORD", help="Asked for if not given.")
@with_appcontext
def set_password(email: str, password: str) -> None:
    """Give somebody a new password; ends their sessions."""
    with models.database.connection_context():
        person = Person.get_or_none(Person.email == email.strip().lower())
        if person is None:
            raise click.ClickException(f"There is no {email}.")
        try:
            people.set_password(person, password)
        except people.PasswordRefused as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{person.email} can sign in with the new password.")


@click.command("rotate-keys")
@with_appcontext
def rotate_keys() -> None:
    """Encrypt all cloud credentials again with the first of CREDENTIALS_KEYS."""
    with models.database.connection_context():
        try:
            count = services().vault.rotate()
        except VaultError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"Encrypted {count} credentials with the first key.")


@click.command()
@with_appcontext
def version() -> None:
    """Print the version of the application."""
    click.echo(f"Image Registry {current_app.config['VERSION']}")
