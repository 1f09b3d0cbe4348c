"""Measure what the hostile endpoints of some tenants cost another tenant.

    python -m bench.hostile_cloud [--attack trickling] [--database postgresql] [--against FOLDER]

People look up images at endpoints that never end their answers, again and again. Meanwhile, a
person of another account opens lists, looks up images at a healthy cloud and signs in. With
`--restart`, the server is then restarted under attack, and the person is timed again. The
application runs under gunicorn with two workers. The benchmark also prints the highest memory of
each worker. The attack `none` is the reference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import attackers
from bench.attackers import Client
from bench.demonstration import (
    Tenant,
    add_arguments,
    add_tenants,
    demonstration,
    look_up_path,
    measured_checkouts,
)
from bench.measure import sign_in
from bench.second_tenant import SecondTenant
from sandbox import faulty
from tests import served
from tests.postgresql import free_port

WORKERS = 2
RISE_SECONDS = 3.0
"""How long an attack lasts before the first measurement."""
RESTART_SECONDS = 20.0
"""How long a new server loads the SDKs."""
_RESPONSE = '<?xml version="1.0"?><DescribeImagesResponse><imagesSet>%s</imagesSet>'
_RESPONSE += "</DescribeImagesResponse>"
_hanging = faulty.slow(600, faulty.answering(500))


def _large(item: str, size: int) -> faulty.Behavior:
    """Return a behavior that answers with one item, repeated to `size` bytes."""
    return faulty.answering(200, _RESPONSE % (item * (size // len(item))))


@dataclass(frozen=True)
class Attack:
    behavior: faulty.Behavior | str
    """What the endpoint does, or the scheme of an endpoint that never reads anything."""
    clients: int
    accounts: int = 1
    people: int = 1
    """The people of each account."""
    credentials: int = 1
    """The credentials of each account."""


ATTACKS = {
    "none": Attack(_hanging, 0),
    "trickling": Attack(faulty.trickling, 160),
    "hanging": Attack(_hanging, 32),
    "hanging-160": Attack(_hanging, 160),
    "endless": Attack(faulty.endless, 2),
    "never-reads": Attack("http", 32),
    "slow-handshake": Attack("https", 32),
    # One account with many people and credentials, and several accounts that collude:
    "many-credentials": Attack(_hanging, 64, people=8, credentials=16),
    "colluding-hanging": Attack(_hanging, 64, accounts=8, people=2, credentials=4),
    "colluding-endless": Attack(faulty.endless, 16, accounts=8, people=2),
    "colluding-text": Attack(_large(f"<item><description>{'x' * 5_000_000}", 5_000_000), 16, 8, 2),
    "colluding-8-mb": Attack(_large("<a>" + "x" * 997, 8_300_000), 16, accounts=8, people=2),
    "colluding-tiny-elements": Attack(_large("<item/>", 1_300_000), 16, accounts=8, people=2),
    "colluding-nested": Attack(_large("<a>", 580_000), 16, accounts=8, people=2),
    "colluding-below-large": Attack(_large("<item/>", 68_000), 16, accounts=8, people=2),
    "gzip-bomb": Attack(faulty.gzip_bomb(1000), 16, accounts=8, people=2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--attack", choices=ATTACKS, action="append", help="default: all")
    parser.add_argument("--clients", type=int, help="the number of clients of each attack")
    parser.add_argument("--restart", action="store_true", help="restart the server under attack")
    arguments = parser.parse_args()
    for checkout in measured_checkouts(arguments):
        for name in arguments.attack or ATTACKS:
            _measure(checkout, name, arguments)


def _measure(checkout: Path, name: str, arguments: argparse.Namespace) -> None:
    attack = ATTACKS[name]
    clients = arguments.clients or attack.clients
    with (
        attackers.silent_endpoint(attack.behavior)
        if isinstance(attack.behavior, str)
        else attackers.endpoint(attack.behavior) as endpoint,
        demonstration(checkout, arguments.database) as (folder, environ),
    ):
        healthy, tenants = add_tenants(
            checkout, environ, endpoint, attack.accounts, attack.people, attack.credentials
        )
        port = free_port()

        @contextmanager
        def application() -> Iterator[tuple[served.Server, SecondTenant]]:
            with served.serve_app(environ, folder / "log", WORKERS, checkout, port) as server:
                yield server, SecondTenant(server, healthy)

        with ExitStack() as under_attack:
            with application() as (server, victim):
                victim.warm_up()
                look_ups = attackers.in_turn(list(_look_ups(server.url, tenants)))
                end = under_attack.enter_context(attackers.clients(look_ups, clients))
                time.sleep(RISE_SECONDS)
                victim.measure(f"{name}, {clients} clients")
                if not arguments.restart:
                    print(f"    answers to the attackers: {dict(end())}", flush=True)
                    return
            # The server has ended. The clients will connect to the next server.
            with application() as (server, victim):
                time.sleep(RESTART_SECONDS)
                victim.measure(f"{name}, after a restart under attack")
                print(f"    answers to the attackers: {dict(end())}", flush=True)


def _look_ups(url: str, tenants: list[Tenant]) -> Iterator[Client]:
    """Yield a client for each pair of a person and credentials."""
    for tenant in tenants:
        for email in tenant.people:
            session = sign_in(url, email)
            for credentials in tenant.credentials:
                target = url + look_up_path(tenant.path, credentials)
                yield attackers.repeated(target, session)


if __name__ == "__main__":
    main()
