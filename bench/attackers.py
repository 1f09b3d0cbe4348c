"""Attack an application with a hostile cloud endpoint, and with clients that keep sending requests.

The attackers run in separate processes with a lower priority. Otherwise, the benchmark would
measure how much processor time the attackers leave to the application.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests

from sandbox import faulty

PAUSE_SECONDS = 5.0
"""How long a client waits between two requests. Without a pause, the benchmark would measure how
fast the application renders error messages."""
# A behavior may be a closure. Only the start method `fork` can pass closures to a process.
_fork = multiprocessing.get_context("fork")

Statuses = Counter[str]
Client = Callable[[threading.Event, Statuses], None]
"""A function that attacks until the event is set, and counts the statuses."""


@contextmanager
def endpoint(behavior: faulty.Behavior, **options: Any) -> Iterator[str]:
    """Serve a behavior in another process, and yield its URL."""

    def serve(connection: Any) -> None:
        _prepare_child()
        with faulty.serve(behavior, **options) as url:
            connection.send(url)
            signal.pause()  # Until the benchmark ends this process with a signal.

    with _child(serve) as connection:
        yield connection.recv()


@contextmanager
def silent_endpoint(scheme: str) -> Iterator[str]:
    """Yield the URL of a server that accepts connections, but never reads or sends anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def clients(attack: Client, count: int) -> Iterator[Callable[[], Statuses]]:
    """Let `count` threads of another process attack. Yields a function that ends the attack.

    The function returns how often the threads received each status or error.
    """

    def run(connection: Any) -> None:
        _prepare_child()
        ended, statuses = threading.Event(), Statuses()
        threads = [
            threading.Thread(target=attack, args=(ended, statuses), daemon=True)
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        connection.poll(None)
        ended.set()
        for thread in threads:
            thread.join(0.01)  # Some threads still wait for a response.
        connection.send(statuses)
        os._exit(0)

    with _child(run) as connection:

        def end() -> Statuses:
            connection.send("end")
            statuses: Statuses = connection.recv()
            return statuses

        yield end


def repeated(url: str, session: requests.Session, pause: float = PAUSE_SECONDS) -> Client:
    """Return a client that requests a URL again and again."""
    cookies = session.cookies

    def attack(ended: threading.Event, statuses: Statuses) -> None:
        while not ended.is_set():
            try:
                response = requests.get(url, cookies=cookies, timeout=120)
                statuses[str(response.status_code)] += 1
            except requests.RequestException as error:
                statuses[type(error).__name__] += 1
            ended.wait(pause)

    return attack


def in_turn(attacks: list[Client]) -> Client:
    """Return a client that distributes `attacks` over its threads. Each thread runs one of them."""
    numbers = iter(range(1_000_000))

    def attack(ended: threading.Event, statuses: Statuses) -> None:
        attacks[next(numbers) % len(attacks)](ended, statuses)

    return attack


@contextmanager
def _child(target: Callable[[Any], None]) -> Iterator[Any]:
    """Run `target` in another process, with one end of a pipe. Yields the other end."""
    own, other = _fork.Pipe()
    process = _fork.Process(target=target, args=(other,), daemon=True)
    process.start()
    try:
        yield own
    finally:
        own.close()
        process.terminate()
        process.join()


def _prepare_child() -> None:
    """Ignore Ctrl+C, which the benchmark handles, and lower the priority of this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)
