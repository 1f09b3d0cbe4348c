"""Measure how much the hostile endpoints of some tenants slow down another tenant.

    python -m bench.hostile_cloud [--attack trickling] [--database postgresql] [--against FOLDER]

People repeatedly look up images at endpoints that never finish their responses or that send huge
responses. Meanwhile, a person of another account opens lists, looks up images at a healthy cloud
and signs in. The benchmark measures the times of this person's requests, and the highest memory of
each worker. With `--restart`, it restarts the server during the last attack, and measures again.
The application runs under gunicorn with two workers. The attack `none` is the reference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import attackers
from bench.attackers import Client, Statuses
from bench.demonstration import (
    Tenant,
    add_arguments,
    add_tenants,
    demonstration,
    look_up_path,
    measured_checkouts,
)
from bench.measure import sign_in, wait_until_idle
from bench.second_tenant import SecondTenant
from sandbox import faulty
from tests import served
from tests.postgresql import free_port

WORKERS = 2
RISE_SECONDS = 3.0
"""How long an attack lasts before the first measurement."""
RESTART_SECONDS = 20.0
"""How long the benchmark waits after a restart, so that the server has loaded the SDKs."""
_RESPONSE = '<?xml version="1.0"?><DescribeImagesResponse><imagesSet>%s</imagesSet>'
_RESPONSE += "</DescribeImagesResponse>"
_hanging = faulty.slow(600, faulty.answering(500))


def _large(item: str, size: int) -> faulty.Behavior:
    """Return a behavior whose response is one item, repeated to `size` bytes."""
    return faulty.answering(200, _RESPONSE % (item * (size // len(item))))


@dataclass(frozen=True)
class Attack:
    """How the endpoint of an attack responds, and how many clients attack."""

    behavior: faulty.Behavior | str
    """How the endpoint responds. The text "http" or "https" means that the endpoint accepts
    connections with this protocol and never reads a request."""
    clients: int
    """The number of clients that look up images at the same time."""
    accounts: int = 1
    people: int = 1
    """The number of people of each account."""
    credentials: int = 1
    """The number of sets of credentials of each account."""


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
    "colluding-tiny-elements": Attack(_large("<item/>", 690_000), 16, accounts=8, people=2),
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
        _measure(checkout, arguments)


def _measure(checkout: Path, arguments: argparse.Namespace) -> None:
    names = arguments.attack or list(ATTACKS)
    with demonstration(checkout, arguments.database) as (folder, environ), ExitStack() as stack:
        tenants: dict[str, list[Tenant]] = {}
        for name in names:
            attack = ATTACKS[name]
            url = stack.enter_context(_endpoint(attack))
            healthy, tenants[name] = add_tenants(
                checkout,
                environ,
                url,
                count=attack.accounts,
                people=attack.people,
                credentials=attack.credentials,
                prefix=f"{name}-",
            )
        port = free_port()
        with served.serve_app(environ, folder / "log", WORKERS, checkout, port) as server:
            victim = SecondTenant(server, healthy)
            victim.warm_up()
            for name in names:
                with _attacked(server, name, tenants[name], arguments.clients) as end:
                    victim.measure(name)
                    print(f"    responses to the attackers: {dict(end())}", flush=True)
                wait_until_idle(server.pid)
            if arguments.restart:
                end = stack.enter_context(_attacked(server, name, tenants[name], arguments.clients))
        if arguments.restart:  # The server has ended. The clients will connect to the next server.
            with served.serve_app(environ, folder / "log", WORKERS, checkout, port) as server:
                time.sleep(RESTART_SECONDS)
                SecondTenant(server, healthy).measure(f"{name}, after a restart under attack")
                print(f"    responses to the attackers: {dict(end())}", flush=True)


def _endpoint(attack: Attack) -> AbstractContextManager[str]:
    if isinstance(attack.behavior, str):
        return attackers.silent_endpoint(attack.behavior)
    return attackers.endpoint(attack.behavior)


@contextmanager
def _attacked(
    server: served.Server, name: str, tenants: list[Tenant], clients: int | None
) -> Iterator[Callable[[], Statuses]]:
    """Attack while the context is active. Yields a function that ends the attack."""
    look_ups = attackers.in_turn(list(_look_ups(server.url, tenants)))
    default = ATTACKS[name].clients
    with attackers.clients(look_ups, (clients or default) if default else 0) as end:
        time.sleep(RISE_SECONDS)
        yield end


def _look_ups(url: str, tenants: list[Tenant]) -> Iterator[Client]:
    """Yield a client for each pair of a person and credentials of the same account."""
    for tenant in tenants:
        for email in tenant.people:
            session = sign_in(url, email)
            for credentials in tenant.credentials:
                target = url + look_up_path(tenant.path, credentials)
                yield attackers.repeated(target, session)


if __name__ == "__main__":
    main()
