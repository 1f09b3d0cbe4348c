"""A process reads one large upload at a time."""

from __future__ import annotations

import threading

import pytest

from webapp.transfer.uploads import MAX_UPLOADS, TooManyUploads, Uploads


def nothing() -> None:
    pass


def unexpected() -> None:
    raise AssertionError


def test_a_large_upload_waits_for_the_end_of_another_one() -> None:
    uploads = Uploads(wait_seconds=30)
    uploads.begin("1", nothing)
    second = threading.Thread(target=uploads.begin, args=("2", nothing))
    second.start()
    assert second.is_alive()
    uploads.end("1")
    second.join(30)
    uploads.end("2")
    uploads.begin("1", nothing)


def test_a_large_upload_does_not_wait_forever() -> None:
    uploads = Uploads(wait_seconds=0.01)
    uploads.begin("1", nothing)
    for _ in range(2):  # An upload that was refused is not in progress.
        with pytest.raises(TooManyUploads, match="another large file"):
            uploads.begin("2", nothing)


def test_a_person_has_one_large_upload_at_a_time() -> None:
    uploads = Uploads()
    uploads.begin("1", nothing)
    with pytest.raises(TooManyUploads, match="Your other upload"):
        uploads.begin("1", nothing)


def test_waiting_uploads_leave_threads_to_other_requests() -> None:
    uploads = Uploads(wait_seconds=30)
    arrived = threading.Barrier(MAX_UPLOADS, timeout=30)

    def upload(person_id: str) -> None:
        uploads.begin(person_id, arrived.wait)
        uploads.end(person_id)

    uploads.begin("first", nothing)
    waiting = [threading.Thread(target=upload, args=(str(n),)) for n in range(1, MAX_UPLOADS)]
    for thread in waiting:
        thread.start()
    arrived.wait()
    with pytest.raises(TooManyUploads, match="another large file"):
        uploads.begin("one more", unexpected)
    uploads.end("first")
    for thread in waiting:
        thread.join(30)
    uploads.begin("one more", nothing)


def test_a_slow_client_delays_nobody_else() -> None:
    uploads = Uploads(wait_seconds=0)

    def receive() -> None:
        uploads.begin("2", nothing)
        uploads.end("2")

    uploads.begin("1", receive)


def test_an_upload_that_is_not_received_is_not_in_progress() -> None:
    uploads = Uploads()

    def disconnect() -> None:
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            uploads.begin("1", disconnect)
