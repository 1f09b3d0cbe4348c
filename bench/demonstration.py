"""Run demonstrations of this and other checkouts, with hostile tenants, for benchmarks."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from sandbox.aws import NOBLE
from tests import served
from tests.postgresql import cluster

REGION = "us-east-1"
VICTIM = "globex@example.com"
VICTIM_PATH = "/account/globex"
ADD_TENANTS = """
import json, os, secrets, sys
import webapp
from argon2 import PasswordHasher
from models import CloudCredentials, Level, Membership, Person, Role, Scope, database
from webapp.clouds import CLOUDS
from webapp.credentials.vault import Vault
prefix, endpoint, count, people, sets = *sys.argv[1:3], *map(int, sys.argv[3:])
webapp.create_app()
vault = Vault([os.environ["CREDENTIALS_KEYS"]])
fields = CLOUDS["aws"].credential_fields
hash = PasswordHasher().hash("demonstration")
with database.connection_context():
    scalr = Scope.get(path="")
    tenants = []
    for number in range(count):
        path = f"{prefix}{number}"
        scope = Scope.create(level=Level.ACCOUNT, parent=scalr, path=path, name=path)
        tenants.append({"path": path, "people": [], "credentials": []})
        for each in range(people):
            email = f"{path}-{each}@example.com"
            secret = {"password_hash": hash, "session_key": secrets.token_hex(16)}
            person = Person.create(email=email, name=email, **secret)
            Membership.create(person=person, scope=scope, role=Role.ADMIN)
            tenants[-1]["people"].append(email)
        for each in range(sets):
            values = {field.name: "" for field in fields}
            values |= {"access_key_id": f"AKIA{path}X{each}", "secret_access_key": "s"}
            values |= {"partition": "aws", "endpoint_url": endpoint}
            row = CloudCredentials(scope=scope, cloud="aws", name=f"hostile {each}")
            vault.store(row, fields, values)
            row.save(force_insert=True)
            tenants[-1]["credentials"].append(row.id)
    healthy = CloudCredentials.get(cloud="aws", scope=scalr)
    print(json.dumps([healthy.id, tenants]))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that select the checkouts and the database."""
    parser.add_argument("--against", type=Path, help="also measure another checkout")
    parser.add_argument(
        "--only-against", action="store_true", help="measure only the other checkout"
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")


def measure_checkouts(
    description: str | None, option: str, default: int, measure: Callable[[Path, str, int], None]
) -> None:
    """Parse the command line of a benchmark, and call `measure` for each checkout to measure.

    Besides the options of `add_arguments`, the command line has one integer option. `option` is its
    name, such as "--images", and `default` its default. `measure` gets the checkout, the kind of
    the database, and the value of this option.
    """
    parser = argparse.ArgumentParser(description=description)
    add_arguments(parser)
    parser.add_argument(option, dest="number", type=int, default=default)
    arguments = parser.parse_args()
    for checkout in measured_checkouts(arguments):
        measure(checkout, arguments.database, arguments.number)


def measured_checkouts(arguments: argparse.Namespace) -> Iterator[Path]:
    """Yield the checkouts to measure, and print a heading for each."""
    own = [] if arguments.only_against else [served.ROOT]
    for checkout in filter(None, (arguments.against, *own)):
        print(f"{checkout.name}, {arguments.database}, load {os.getloadavg()[0]:.1f}:", flush=True)
        yield checkout


@dataclass(frozen=True)
class Tenant:
    """An account whose people and AWS credentials belong to an attacker."""

    path: str
    people: tuple[str, ...]
    """The e-mail addresses of the admins."""
    credentials: tuple[int, ...]


@contextmanager
def demonstration(
    checkout: Path, database: str = "sqlite"
) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Run the simulated clouds, and let a checkout create the database of a demonstration.

    `database` is "sqlite" or "postgresql". Yields the folder of the data, and the environment of
    the application.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environ = served.app_environ(folder)
        if database == "postgresql":
            environ["DATABASE_URL"] = stack.enter_context(cluster(own=True))
        sandbox = stack.enter_context(served.sandbox(folder))
        served.seed(environ, sandbox, checkout)
        yield folder, environ


def add_tenants(
    checkout: Path,
    environ: Mapping[str, str],
    endpoint: str,
    *,
    count: int = 1,
    people: int = 1,
    credentials: int = 1,
    prefix: str = "hostile",
) -> tuple[int, list[Tenant]]:
    """Create `count` accounts with AWS credentials for the URL `endpoint`.

    Each account has `people` admins and `credentials` sets of credentials. The names of the
    accounts begin with `prefix`. Returns the ID of the Scalr scope's credentials for the sandbox
    AWS, and the accounts. The sandbox AWS responds normally.
    """
    command = [served.python_of(checkout), "-c", ADD_TENANTS, prefix, endpoint]
    command += map(str, (count, people, credentials))
    healthy, tenants = json.loads(
        subprocess.check_output(command, env=environ, cwd=checkout, text=True)
    )
    return int(healthy), [
        Tenant(each["path"], tuple(each["people"]), tuple(each["credentials"])) for each in tenants
    ]


def look_up_path(account: str, credentials: int) -> str:
    """Return the path and query of the page of New Image that looks up an image at AWS."""
    query = {"credentials": credentials, "location": REGION, "image_id": NOBLE.id_in(REGION)}
    return f"/account/{account}/images/new/aws/confirm?{urlencode(query)}"
