"""What identifies a template: its instance UUID, in the ways in which VMware's tools write it; and
the thumbprints of certificates."""

from __future__ import annotations

import re

from webapp.clouds.base import ImageId, InvalidImageId
from webapp.clouds.pasted_text import strip_pasted_text

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
EXAMPLE = "501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091"

_HEX = "[0-9a-f]"
_FORMS = re.compile(
    rf"""(?:urn:uuid:|uuid:)?
    (?: {_HEX}{{8}} -? {_HEX}{{4}} -? {_HEX}{{4}} -? {_HEX}{{4}} -? {_HEX}{{12}}
      # As in a .vmx file: 50 1e 5a 2b 8c 9d 0e 1f-2a 3b 4c 5d 6e 7f 80 91
      | (?:{_HEX}{{2}}[ ]){{7}} {_HEX}{{2}} [ -] (?:{_HEX}{{2}}[ ]){{7}} {_HEX}{{2}} )""",
    re.VERBOSE | re.ASCII,
)
_ALSO_AROUND = "{}()"
_MANAGED_OBJECT = re.compile(
    r"(?<![0-9a-z])(?:(?P<vm>vm)|host|domain-[cs]|datacenter|group-[dhnsv]|resgroup|datastore"
    r"|network|dvportgroup)-[0-9]+(?![0-9a-z-])"
)
_NOT_HEX = re.compile(r"[^0-9a-f-]")


def parse(text: str) -> ImageId:
    """The instance UUID that `text` is. Raises InvalidImageId with what is wrong. Linear in the
    length of `text`, which is bounded besides."""
    value = strip_pasted_text(
        text, "This is far too long for a UUID. Choose the template from the list.", _ALSO_AROUND
    ).lower()
    if not value:
        raise InvalidImageId(
            f"Choose a template from the list, or enter its instance UUID, such as {EXAMPLE}."
        )
    if _FORMS.fullmatch(value):
        digits = re.sub("[^0-9a-f]", "", value.removeprefix("urn:").removeprefix("uuid:"))
        return ImageId(
            "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        )
    raise InvalidImageId(_what_is_wrong(value))


def _what_is_wrong(value: str) -> str:
    managed = _MANAGED_OBJECT.search(value)
    if managed and (managed["vm"] or "urn:vmomi" in value):
        return (
            f"Every vCenter gives ids such as “{managed[0]}” anew, so it can mean something else "
            "elsewhere. Choose the template from the list, or enter its instance UUID."
        )
    if "://" in value or "urn:" in value:
        return (
            "An address holds no instance UUID, which is what identifies a template. Choose it "
            "from the list."
        )
    if value.startswith("[") or value.endswith((".vmtx", ".vmx", ".vmdk", ".ova", ".ovf")):
        return (
            "This is the path of a file, and a template is identified by its instance UUID. "
            "Choose it from the list."
        )
    return _misfit(value)


def _misfit(value: str) -> str:
    digits = value.replace("-", "")
    wrong = _NOT_HEX.search(value)
    if wrong and not 30 <= len(value) < 40:
        return (
            "This is no instance UUID, which is what identifies a template, such as "
            f"{EXAMPLE}. Choose it from the list."
        )
    if wrong:
        return (
            f"The sign “{wrong[0]}” cannot occur in a UUID, which has the digits 0 to 9 and the "
            "letters a to f only. Copy it again, or choose the template from the list."
        )
    if len(digits) != 32:
        return (
            f"A UUID has 32 digits, and this has {len(digits)}. Copy all of it, or choose the "
            "template from the list."
        )
    return (
        f"The dashes of this UUID are not where they belong, as in {EXAMPLE}. Copy it again, or "
        "choose the template from the list."
    )


def thumbprint(text: str) -> str:
    """SHA-1 or SHA-256 of a certificate as plain lower-case digits; '' for what is neither."""
    digits = re.sub(r"[\s:-]", "", text.lower().rpartition("=")[2])  # OpenSSL names the kind before
    return digits if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digits) else ""
