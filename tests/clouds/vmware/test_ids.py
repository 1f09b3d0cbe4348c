"""Parsing of pasted instance UUIDs and of certificate thumbprints."""

from __future__ import annotations

import re
import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clouds.helpers import assert_rejected_quickly
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import ImageId
from webapp.clouds.pasted_text import MAX_LENGTH
from webapp.clouds.vmware.ids import UUID, parse, parse_thumbprint

CANONICAL = "501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091"
VMX = "50 1e 5a 2b 8c 9d 0e 1f-2a 3b 4c 5d 6e 7f 80 91"
SHA256 = "1a" * 32
SHA1 = "1a" * 20

uuids = st.uuids().map(str)
blanks = st.text(" \t\r\n\xa0\u200b\ufeff", max_size=5)


@pytest.mark.parametrize(
    "text",
    [
        CANONICAL,
        f"  {CANONICAL}\t\r\n",
        f"\ufeff{CANONICAL}\u200b",
        CANONICAL.upper(),
        f'"{CANONICAL}",',
        f"{{{CANONICAL}}}",
        CANONICAL.replace("-", ""),
        f"urn:uuid:{CANONICAL}",
        f"uuid:{CANONICAL}",
        VMX,
        VMX.upper(),
        VMX.replace("-", " "),
        f'"{VMX}"',
    ],
)
def test_an_accepted_text_becomes_an_id(text: str) -> None:
    assert parse(text) == ImageId(CANONICAL)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Choose a template from the list"),
        (" \n", "Choose a template from the list"),
        ("ubuntu-24.04", "isn’t an instance UUID"),
        ("ami-0123456789abcdef0", "isn’t an instance UUID"),
        ("projects/debian-cloud/global/images/debian-13", "isn’t an instance UUID"),
        ("Canonical:ubuntu-24_04-lts:server:latest", "isn’t an instance UUID"),
        ("vm-123", "“vm-123” can refer to another object"),
        ("VM-123", "“vm-123” can refer to another object"),
        (f"urn:vmomi:VirtualMachine:vm-1042:{CANONICAL}", "“vm-1042” can refer"),
        (f"urn:vmomi:Datacenter:datacenter-2:{CANONICAL}", "“datacenter-2” can refer"),
        (
            (
                "https://vcenter.example.com/ui/app/vm;nav=v/"
                f"urn:vmomi:VirtualMachine:vm-77:{CANONICAL}/summary"
            ),
            "“vm-77” can refer",
        ),
        ("https://vcenter.example.com/ui/", "A URL doesn’t contain the instance UUID"),
        (f"arn:aws:ec2:us-east-1::image/ami-{'0' * 17}", "isn’t an instance UUID"),
        ("[datastore1] ubuntu/ubuntu.vmtx", "a file path"),
        ("ubuntu.ova", "a file path"),
        (CANONICAL[:-1], "has 32 hexadecimal digits, but this UUID has 31"),
        (f"{CANONICAL}0", "has 32 hexadecimal digits, but this UUID has 33"),
        (f"{CANONICAL[:-1]}g", "“g” isn’t allowed in a UUID"),
        ("501e5a2b8-c9d-0e1f-2a3b-4c5d6e7f8091", "hyphens in this UUID are in the wrong"),
        (f"{CANONICAL} {CANONICAL}", "isn’t an instance UUID"),
        ("a" * (MAX_LENGTH + 1), "too long"),
    ],
)
def test_a_rejected_text_gets_a_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidImageId, match=words):
        parse(text)


@given(uuids, blanks, blanks)
def test_any_spelling_of_a_uuid_is_accepted(value: str, before: str, after: str) -> None:
    pairs = re.findall("..", value.replace("-", ""))
    spellings = (value, value.upper(), "".join(pairs), f"{{{value}}}", " ".join(pairs))
    for each in (*spellings, f"{' '.join(pairs[:8])}-{' '.join(pairs[8:])}"):
        assert parse(before + each + after) == ImageId(value)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a UUID, or another kind of VMware ID, with one random change."""
    text = draw(uuids | st.sampled_from([VMX, "vm-123", f"urn:vmomi:VirtualMachine:vm-1:{VMX}"]))
    index = draw(st.integers(0, len(text)))
    return text[:index] + draw(st.text(max_size=2)) + text[index + draw(st.integers(0, 2)) :]


@given(
    st.text(max_size=60)
    | st.text(f"{string.hexdigits} -{{}}", max_size=60)
    | st.text(string.hexdigits, min_size=30, max_size=34)
    | mutated()
)
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    try:
        found = parse(text)
    except InvalidImageId as error:
        assert str(error).endswith(".")  # noqa: PT017  both outcomes are correct
        return
    assert UUID.fullmatch(found.value)
    assert found.location == ""
    assert parse(found.value) == found
    assert str(uuid.UUID(found.value)) == found.value


@pytest.mark.parametrize(
    "piece", ["a", "-", "0-", "vm-", "vm-1 ", "urn:vmomi:", "urn:", "50 ", "{", "://", "group-d1"]
)
def test_hostile_input_is_rejected_quickly(piece: str) -> None:
    assert_rejected_quickly(parse, piece, MAX_LENGTH)


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        (SHA256, SHA256),
        (SHA1, SHA1),
        (SHA256.upper(), SHA256),
        (":".join(["1A"] * 32), SHA256),
        (" ".join(["1A"] * 20), SHA1),
        (f"SHA1 Fingerprint={':'.join(['1A'] * 20)}\n", SHA1),
        (f"sha256 Fingerprint={':'.join(['1A'] * 32)}\n", SHA256),
        ("1a" * 16, ""),
        (f"{SHA256}0", ""),
        (SHA256.replace("a", "g"), ""),
        ("", ""),
    ],
)
def test_a_thumbprint_becomes_its_digits(text: str, digits: str) -> None:
    assert parse_thumbprint(text) == digits
