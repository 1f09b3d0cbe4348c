"""Serve a registry for the command `images`, and run the installed command."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import models
from models import CloudCredentials, Image, Person, Role, Scope
from tests import served
from tests.canaries import CREDENTIALS
from tests.cast import CAST
from tests.conftest import NOWHERE, choices, fill_database, receipt
from webapp import database
from webapp.clouds import CLOUDS
from webapp.credentials.vault import Vault
from webapp.images import registration
from webapp.people import accounts
from webapp.tokens import tokens

SECRET_ACCESS_KEY = "not-a-secret-at-all"


@dataclass
class Registry:
    """A registry under gunicorn at `url`, whose database this process also uses."""

    url: str
    vault: Vault

    def token(self, name: str, at: str | None = None, role: Role | None = None) -> str:
        """Return a new token of a person of the cast.

        It has this role at the scope with the path `at`, or the person's role at their scope.
        """
        path, own_role = CAST[name]
        path, role = path if at is None else at, role or own_role
        assert role is not None
        with models.database.connection_context():
            actor = accounts.actor_for(Person.get(Person.email == f"{name}@example.com"))
            new = tokens.create(
                actor,
                Scope.get(Scope.path == path),
                self.vault,
                name=uuid.uuid4().hex[:8],
                role=role,
                expires_at=models.now() + timedelta(days=7),
                is_personal=True,
            )
        return new.text

    def add_image(self, path: str = "acme", name: str = "noble", number: int = 1) -> int:
        """Register an image without its cloud, and return its ID."""
        with self._connection():
            admin = accounts.actor_for(Person.get(Person.email == "scalr-admin@example.com"))
            proof = receipt(CloudCredentials.get(), number)
            scope = Scope.get(Scope.path == path)
            image: Image = registration.register(admin, scope, proof, choices(name=name))
            return int(image.id)

    def add_images(self, number: int) -> list[int]:
        """Register images with the names `image-000`, `image-001` and so on. Return their IDs."""
        with models.database.connection_context(), models.transaction():
            return [self.add_image(name=f"image-{n:03}", number=n) for n in range(number)]

    def _connection(self) -> AbstractContextManager[None]:
        """Open a connection, unless it is open."""
        if models.database.is_closed():
            return models.database.connection_context()
        return nullcontext()

    def image(self, image_id: int) -> Image:
        with models.database.connection_context():
            image: Image = Image.get_by_id(image_id)
            return image

    def image_count(self) -> int:
        with models.database.connection_context():
            return int(Image.select().count())

    def delete_all_images(self) -> None:
        with models.database.connection_context():
            Image.delete().execute()


@contextmanager
def registry(
    folder: Path,
    endpoint: str = NOWHERE,
    app: str = "webapp:create_app()",
    workers: int = 1,
    **settings: str,
) -> Iterator[Registry]:
    """Serve the cast with the function `app`, and with credentials for the AWS at `endpoint`.

    The database is a file of its own. At the end, this process uses its former database again.
    """
    url = f"sqlite:///{folder}/registry.db"
    environ = {
        **served.app_environ(folder),
        "DATABASE_URL": url,
        "ALLOWED_ENDPOINTS": "default,127.0.0.0/8",
        **settings,
    }
    former = models.database.obj
    fill_database(url)
    opened = database.open_database(url)
    models.database.initialize(opened)
    vault = Vault([environ["CREDENTIALS_KEYS"]])
    with models.database.connection_context():
        _store_credentials(vault, endpoint)
    try:
        with served.serve_app(environ, folder / "gunicorn.log", workers, app=app) as server:
            server.canaries.add(CREDENTIALS, [SECRET_ACCESS_KEY])
            yield Registry(server.url, vault)
    finally:
        database.close_all(opened)
        models.database.initialize(former)


def _store_credentials(vault: Vault, endpoint: str) -> None:
    row = CloudCredentials(scope=Scope.at(""), cloud="aws", name="Sandbox")
    values = {
        "access_key_id": "AKIAEXAMPLE",
        "secret_access_key": SECRET_ACCESS_KEY,
        "session_token": "",
        "role_arn": "",
        "partition": "aws",
        "endpoint_url": endpoint,
    }
    vault.store(row, CLOUDS["aws"].credential_fields, values)
    row.save(force_insert=True)


@dataclass
class Result:
    """The end of a command."""

    code: int
    output: str
    errors: str


@dataclass
class Command:
    """Runs the installed command `images`, with a home folder of its own."""

    folder: Path
    """The folder into which the package was installed."""
    home: Path
    environ: dict[str, str]

    @property
    def path(self) -> Path:
        return self.folder / "bin" / "images"

    def full_environ(self, **changes: str) -> dict[str, str]:
        """Return the environment, without the settings of the user who runs the tests."""
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("IMAGES_", "XDG_", "SSL_")) and "proxy" not in name.lower()
        }
        own |= {"HOME": str(self.home), "PYTHONPATH": str(self.folder), "TZ": "UTC"}
        return {**own, **self.environ, **changes}

    def start(self, *arguments: object, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.path), *map(str, arguments)],
            env=self.full_environ(**environ),
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: object, sent: str = "", **environ: str) -> Result:
        """Run the command with `sent` as its standard input."""
        with self.start(*arguments, **environ) as process:
            output, errors = process.communicate(sent, timeout=60)
        assert "Traceback" not in errors, errors
        return Result(process.returncode, output, errors)

    def succeed(self, *arguments: object, **environ: str) -> str:
        """Return the output of a command that succeeds."""
        result = self.run(*arguments, **environ)
        assert result.code == 0, result.errors
        return result.output
