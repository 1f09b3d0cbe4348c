"""Validation of the certificates that people enter for a private cloud."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import tls as sandbox_tls
from webapp.clouds import tls
from webapp.clouds.errors import InvalidCredentials

PEM = sandbox_tls.create_authority().pem


def test_any_number_of_certificates_is_accepted() -> None:
    for text in ("", PEM, PEM + sandbox_tls.create_authority().pem):
        tls.require_certificates(text, "ca")


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        PEM + "\0",
        PEM.replace("M", "é", 1),
        PEM[:-40],
        "-----BEGIN PRIVATE KEY-----",
        PEM * 1000,
    ],
)
def test_other_texts_are_rejected(text: str) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        tls.require_certificates(text, "ca")
    assert caught.value.field == "ca"


def test_concurrent_callers_get_one_complete_file() -> None:
    pem = sandbox_tls.create_authority().pem
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: tls.ca_file(pem), range(64)))
    (path,) = paths
    assert Path(path).read_text() == pem


def test_the_sandbox_reuses_its_authority(tmp_path: Path) -> None:
    first = sandbox_tls.load_or_create(tmp_path)
    assert sandbox_tls.load_or_create(tmp_path).pem == first.pem
    assert [each.name for each in tmp_path.iterdir()] == ["sandbox_authority.pem"]
