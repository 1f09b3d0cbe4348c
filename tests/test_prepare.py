"""The set-up says what it is doing if a step takes long."""

from __future__ import annotations

import time

import pytest

from scripts import prepare


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(prepare, "REMINDER_SECONDS", 0.05)


def wait_for_output(capsys: pytest.CaptureFixture[str], text: str) -> None:
    printed, end = "", time.monotonic() + 20
    while text not in printed:
        assert time.monotonic() < end, printed
        time.sleep(0.01)
        printed += capsys.readouterr().out


def test_a_long_step_is_announced_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    with prepare.announced("Installing the packages"):
        wait_for_output(capsys, "Installing the packages…\n")
        wait_for_output(capsys, "Installing the packages: not finished after 0.1")


def test_a_short_step_prints_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "QUIET_SECONDS", 60)
    with prepare.announced("Installing the packages"):
        pass
    assert not capsys.readouterr().out


def test_an_error_ends_the_announcements(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(prepare.Failed), prepare.announced("Installing the packages"):
        raise prepare.Failed
    capsys.readouterr()
    time.sleep(0.2)
    assert not capsys.readouterr().out
