"""A process sends a limited number of exports at once."""

from __future__ import annotations

import pytest

from webapp.transfer.downloads import Downloads, TooManyExports


def test_a_person_has_few_exports_at_once() -> None:
    downloads = Downloads(threads=16)
    end = downloads.begin(1, "acme")
    downloads.begin(1, "acme")
    with pytest.raises(TooManyExports, match="Your other exports"):
        downloads.begin(1, "globex")
    end()
    downloads.begin(1, "globex")


def test_the_people_of_an_account_leave_an_export_to_others() -> None:
    downloads = Downloads(threads=16)
    for person_id in range(3):
        downloads.begin(person_id, "acme")
    with pytest.raises(TooManyExports, match="this account"):
        downloads.begin(3, "acme")
    downloads.begin(3, "globex")


def test_the_people_at_scalr_leave_an_export_to_others() -> None:
    downloads = Downloads(threads=16)
    for person_id in range(3):
        downloads.begin(person_id, "")
    with pytest.raises(TooManyExports, match="exports at the Scalr scope"):
        downloads.begin(3, "")
    downloads.begin(3, "globex")


@pytest.mark.parametrize(("threads", "max_exports"), [(1, 1), (4, 1), (16, 4), (32, 8)])
def test_exports_leave_most_threads_to_other_requests(threads: int, max_exports: int) -> None:
    downloads = Downloads(threads)
    for number in range(max_exports):
        downloads.begin(number, f"account {number}")
    with pytest.raises(TooManyExports, match="The server"):
        downloads.begin(max_exports, "other")
