"""How many calls to clouds may be in progress, and which calls have to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.postgresql import free_port
from tests.waiting import wait_until
from webapp.clouds.outgoing import budgets as module
from webapp.clouds.outgoing.budgets import (
    CALLS_PER_ACCOUNT,
    CALLS_PER_CREDENTIALS,
    CALLS_PER_PERSON,
    LARGE_PER_PROCESS,
    RESERVED,
    Budget,
    Budgets,
    BudgetUsedUp,
    person_of_request,
)
from webapp.clouds.outgoing.calls import (
    LARGE_RESPONSE_BYTES,
    SMALL_RESPONSE_ELEMENTS,
    ResponseCounter,
    call_each_within,
    call_within,
)
from webapp.clouds.outgoing.endpoints import NotConnected, connect


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERSON_SECONDS", 0)
    monkeypatch.setattr(module, "BACKGROUND_SECONDS", 0)


@pytest.fixture
def budgets() -> Budgets:
    return Budgets()


@pytest.fixture
def in_progress() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@contextmanager
def request_of(person: str) -> Iterator[None]:
    token = person_of_request.set(person)
    try:
        yield
    finally:
        person_of_request.reset(token)


def used_up(budgets: Budgets, credentials: str, owner: str) -> Budget | None:
    """Return the budget that prevents one more call, or None."""
    try:
        with budgets.reserve(credentials, owner):
            return None
    except BudgetUsedUp as error:
        return error.budget


def test_a_budget_of_credentials_concerns_nobody_else(
    budgets: Budgets, in_progress: ExitStack
) -> None:
    for number in range(CALLS_PER_CREDENTIALS):
        with request_of(f"person {number}"):
            in_progress.enter_context(budgets.reserve("hanging", "hostile"))
    with request_of("another"):
        assert used_up(budgets, "hanging", "hostile") is Budget.CREDENTIALS
        assert used_up(budgets, "healthy", "hostile") is None
        assert used_up(budgets, "hanging", "another account") is None


def test_an_account_with_many_credentials_does_not_use_up_the_threads(
    budgets: Budgets, in_progress: ExitStack
) -> None:
    assert use_up_threads(budgets, in_progress, "hostile") == budgets.max_waiting_threads // 2
    with request_of("another"):
        assert used_up(budgets, "one more", "hostile") is Budget.SHARE
        assert used_up(budgets, "healthy", "another account") is None


def test_several_accounts_do_not_use_up_the_threads(
    budgets: Budgets, in_progress: ExitStack
) -> None:
    used = [use_up_threads(budgets, in_progress, f"hostile {number}") for number in range(3)]
    assert used == [6, 3, 2]
    with request_of("another"):
        assert used_up(budgets, "healthy", "another account") is None


def test_many_slow_accounts_leave_threads_to_others(
    budgets: Budgets, in_progress: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", -1)
    owners = [f"hostile {number}" for number in range(8)]
    for owner in owners:
        with request_of(owner), budgets.reserve("credentials", owner):
            pass
    used = [use_up_threads(budgets, in_progress, owner) for owner in owners]
    assert used == [2, 2, 2, 0, 0, 0, 0, 0]
    with request_of("another"):
        assert used_up(budgets, "healthy", "another account") is None
    monkeypatch.setattr(module, "SLOW_PERIOD_SECONDS", -1)
    in_progress.close()  # The calls that end now make nobody slow.
    assert use_up_threads(budgets, in_progress, owners[0]) == 6


def test_many_new_accounts_leave_threads_to_proven_ones(
    budgets: Budgets, in_progress: ExitStack
) -> None:
    """The clouds of the new accounts hang, but they do not count as slow yet."""
    with request_of("another"), budgets.reserve("healthy", "another account"):
        pass
    owners = [f"hostile {number}" for number in range(8)]
    used = [begin_calls(budgets, in_progress, owner) for owner in owners]
    assert used == [6, 3, 0, 0, 0, 0, 0, 0]
    with request_of("another"):
        assert used_up(budgets, "healthy", "another account") is None
    with request_of("newcomer"):
        assert used_up(budgets, "new", "new account") is Budget.UNPROVEN


def test_a_slow_account_is_not_proven_anymore(
    budgets: Budgets, in_progress: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_PERIOD_SECONDS", 0)
    for seconds in (60, -1):
        monkeypatch.setattr(module, "SLOW_SECONDS", seconds)
        with request_of("hostile"), budgets.reserve("credentials", "hostile"):
            pass
    used = [begin_calls(budgets, in_progress, owner) for owner in ("new", "newer", "hostile")]
    assert used == [6, 3, 0]


def test_one_person_leaves_a_thread_of_a_slow_account_to_others(
    budgets: Budgets, in_progress: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", -1)
    with request_of("hostile"):
        with budgets.reserve("credentials", "account"):
            pass
        in_progress.enter_context(budgets.reserve("credentials", "account"))
        assert used_up(budgets, "credentials", "account") is Budget.PERSON
    with request_of("another"):
        assert used_up(budgets, "credentials", "account") is None


def test_nobody_makes_the_credentials_of_scalr_slow(
    budgets: Budgets, in_progress: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", -1)
    with request_of("hostile"), budgets.reserve("credentials", ""):
        pass
    assert use_up_threads(budgets, in_progress, "") == 6


def test_an_account_has_a_limit_however_many_threads_there_are(
    budgets: Budgets, in_progress: ExitStack
) -> None:
    budgets.configure(64)
    assert use_up_threads(budgets, in_progress, "hostile") == CALLS_PER_ACCOUNT
    with request_of("another"):
        assert used_up(budgets, "one more", "hostile") is Budget.ACCOUNT


def begin_calls(budgets: Budgets, in_progress: ExitStack, owner: str) -> int:
    """Let many people call the clouds of an account. Return the number of calls that began."""
    for number in range(budgets.max_waiting_threads + 1):
        with request_of(f"person {number} of {owner}"):
            try:
                in_progress.enter_context(budgets.reserve(f"credentials {number}", owner))
            except BudgetUsedUp:
                return number
    return budgets.max_waiting_threads + 1


def use_up_threads(budgets: Budgets, in_progress: ExitStack, owner: str) -> int:
    """Let many people with many credentials of an account call their clouds.

    Returns the number of calls that began.
    """
    for number in range(budgets.max_waiting_threads + 1):
        with request_of(f"person {number} of {owner}"):
            if used_up(budgets, f"credentials {number}", owner):
                return number
            in_progress.enter_context(budgets.reserve(f"credentials {number}", owner))
    return budgets.max_waiting_threads + 1


def test_a_person_does_not_use_up_the_threads(budgets: Budgets, in_progress: ExitStack) -> None:
    with request_of("hostile"):
        for number in range(CALLS_PER_PERSON):
            in_progress.enter_context(budgets.reserve("credentials", f"account {number}"))
        assert used_up(budgets, "credentials", "one more") is Budget.PERSON
    with request_of("another"):
        assert used_up(budgets, "credentials", "one more") is None


@pytest.mark.parametrize("threads", [1, 2, 4, 16, 64])
def test_some_threads_never_wait_for_a_cloud(
    budgets: Budgets, in_progress: ExitStack, threads: int
) -> None:
    budgets.configure(threads)
    waiting = 0
    for number in range(threads + 1):
        with request_of(f"person {number}"):
            budget = used_up(budgets, "credentials", f"account {number}")
            if budget is None:
                in_progress.enter_context(budgets.reserve("credentials", f"account {number}"))
                waiting += 1
        assert budget in {None, Budget.PROCESS}
    assert 1 <= waiting < max(threads, 2)


def test_work_in_the_background_leaves_a_call_for_people(
    budgets: Budgets, in_progress: ExitStack
) -> None:
    for _ in range(CALLS_PER_CREDENTIALS - RESERVED):
        assert budgets.has_room("credentials", "account")
        in_progress.enter_context(budgets.reserve("credentials", "account"))
    assert not budgets.has_room("credentials", "account")
    assert used_up(budgets, "credentials", "account") is Budget.CREDENTIALS
    with request_of("person"):
        assert used_up(budgets, "credentials", "account") is None


def test_a_person_waits_for_the_end_of_another_call(
    budgets: Budgets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKGROUND_SECONDS", 30)
    ended = threading.Event()

    def call() -> None:
        with budgets.reserve("credentials", "account"):
            ended.wait(30)

    threads = [threading.Thread(target=call) for _ in range(CALLS_PER_CREDENTIALS - RESERVED)]
    for thread in threads:
        thread.start()
    threading.Timer(0.1, ended.set).start()
    assert used_up(budgets, "credentials", "account") is None
    for thread in threads:
        thread.join()


def test_a_call_that_fails_gives_its_place_back(budgets: Budgets) -> None:
    for _ in range(10):
        with pytest.raises(ZeroDivisionError), budgets.reserve("credentials", "account"):
            raise ZeroDivisionError
    assert budgets._calls == {}


def read_large_response(budgets: Budgets, owner: str, seconds: float = 60) -> None:
    """Make a call that reads a large answer and then ends."""
    with budgets.reserve("any", owner):
        call_within(seconds, lambda: ResponseCounter().count(b"x" * (LARGE_RESPONSE_BYTES + 1)))


def test_one_account_reads_one_large_response_at_a_time(
    budgets: Budgets, in_progress: ExitStack
) -> None:
    in_progress.enter_context(budgets.reserve("a", "hostile"))
    call_within(60, lambda: ResponseCounter().count(b"x" * (LARGE_RESPONSE_BYTES + 1)))
    with budgets.reserve("b", "hostile"):
        call_within(0.3, lambda: ResponseCounter().count(b"usual"))
    with pytest.raises(BudgetUsedUp) as caught:
        read_large_response(budgets, "hostile", 0.3)
    assert caught.value.budget is Budget.LARGE
    read_large_response(budgets, "healthy")
    in_progress.close()
    read_large_response(budgets, "hostile")


def test_a_process_reads_only_few_large_responses_at_once(
    budgets: Budgets, in_progress: ExitStack
) -> None:
    for number in range(LARGE_PER_PROCESS):
        in_progress.enter_context(budgets.reserve("a", f"hostile {number}"))
        call_within(60, lambda: ResponseCounter().count(b"x" * (LARGE_RESPONSE_BYTES + 1)))
    with pytest.raises(BudgetUsedUp) as caught:
        read_large_response(budgets, "healthy", 0.3)
    assert caught.value.budget is Budget.MEMORY
    assert used_up(budgets, "b", "healthy") is None


def parse_response() -> None:
    """Read an answer that is not small, and wait until it may be parsed."""
    answer = ResponseCounter()
    answer.count(b"<a>" * (SMALL_RESPONSE_ELEMENTS + 1))
    answer.end()


@contextmanager
def parsing(budgets: Budgets, owner: str) -> Iterator[Callable[[], None]]:
    """Make a call that parses a response. Yield a function that makes the call connect again."""
    parses, may_connect, connects, may_end = (threading.Event() for _ in range(4))

    def parse_and_connect() -> None:
        parse_response()
        parses.set()
        may_connect.wait(60)
        with pytest.raises(NotConnected):
            connect(("127.0.0.1", free_port()))
        connects.set()
        may_end.wait(60)

    def call() -> None:
        with budgets.reserve("a", owner):
            call_within(60, parse_and_connect)

    def begin_to_connect() -> None:
        may_connect.set()
        assert connects.wait(60)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        assert parses.wait(60)
        yield begin_to_connect
    finally:
        may_connect.set()
        may_end.set()
        thread.join()


def test_a_process_parses_one_response_at_a_time(budgets: Budgets) -> None:
    with parsing(budgets, "hostile") as connect_again:
        with budgets.reserve("b", "usual"):
            call_within(0.3, lambda: ResponseCounter().end())
        with pytest.raises(BudgetUsedUp) as caught, budgets.reserve("c", "healthy"):
            call_within(0.3, parse_response)
        assert caught.value.budget is Budget.PARSER
        connect_again()
        with budgets.reserve("d", "other"):
            call_within(60, parse_response)
            with budgets.reserve("e", "next"):
                call_within(60, parse_response)


def test_the_threads_of_one_call_parse_in_turn(budgets: Budgets) -> None:
    at_once = threading.Semaphore(1)

    def parse(_: int) -> bool:
        parse_response()
        is_alone = at_once.acquire(blocking=False)
        time.sleep(0.05)
        at_once.release()
        return is_alone

    def parse_in_threads() -> dict[int, bool]:
        parse_response()
        return call_each_within(60, parse, range(8), at_once=4)

    with budgets.reserve("a", "account") as call:
        results = call_within(60, parse_in_threads)
    assert results == dict.fromkeys(range(8), True)
    assert call.seconds_waited < 0.05


def test_an_account_with_many_parsers_waits_as_if_it_had_one(budgets: Budgets) -> None:
    parsed: list[str] = []

    def parse(owner: str) -> None:
        parse_response()
        parsed.append(owner)
        time.sleep(0.02)

    def call(credentials: str, owner: str) -> None:
        with budgets.reserve(credentials, owner):
            call_within(60, parse, owner)

    owners = ["hostile"] * 6 + ["healthy"]
    threads = [
        threading.Thread(target=call, args=(f"credentials {number}", owner))
        for number, owner in enumerate(owners)
    ]
    with parsing(budgets, "another") as connect_again:
        for thread in threads:
            thread.start()
        wait_until(lambda: budgets._calls[Budget.ACCOUNT_PARSER, "healthy"] == 1)
        wait_until(lambda: budgets._calls[Budget.ACCOUNT_PARSER, "hostile"] == 1)
        connect_again()
        for thread in threads:
            thread.join()
    assert parsed.index("healthy") <= 3


def test_waiting_for_another_parser_makes_nobody_slow(
    budgets: Budgets, monkeypatch: pytest.MonkeyPatch
) -> None:
    with parsing(budgets, "hostile"):
        monkeypatch.setattr(module, "SLOW_SECONDS", 0.25)
        with request_of("person"), pytest.raises(BudgetUsedUp), budgets.reserve("c", "healthy"):
            call_within(0.7, parse_response)
    assert not budgets._is_slow("healthy")
    assert budgets._is_proven("healthy")


def test_a_long_list_of_usual_pages_counts_as_a_large_response(
    budgets: Budgets, in_progress: ExitStack
) -> None:
    in_progress.enter_context(budgets.reserve("a", "hostile"))
    for _ in range(10):
        call_within(60, lambda: ResponseCounter().count(b"x" * 500_000))
    with pytest.raises(BudgetUsedUp):
        read_large_response(budgets, "hostile", 0.3)


def test_large_responses_use_a_small_share_of_the_processor(
    budgets: Budgets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PAUSE_SECONDS", 30)
    with budgets.reserve("a", "hostile"):
        call_within(60, lambda: ResponseCounter().count(b"x" * (LARGE_RESPONSE_BYTES + 1)))
        use_processor(0.1)
    with pytest.raises(BudgetUsedUp) as caught:
        read_large_response(budgets, "hostile", 0.3)
    assert caught.value.budget is Budget.LARGE
    with pytest.raises(BudgetUsedUp) as caught:
        read_large_response(budgets, "healthy", 0.3)
    assert caught.value.budget is Budget.MEMORY
    assert used_up(budgets, "a", "hostile") is None
    read_large_response(budgets, "healthy", 60)


def test_the_processor_time_of_parallel_calls_counts(budgets: Budgets) -> None:
    with budgets.reserve("a", "account") as call:
        call_within(60, lambda: call_each_within(60, lambda _: use_processor(0.05), range(2), 2))
    assert call.seconds_of_threads >= 0.1


def use_processor(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
