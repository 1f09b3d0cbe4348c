"""Parsing of pasted instance UUIDs, paths of datacenters, and certificate thumbprints.

An instance UUID identifies a template. `parse` accepts all spellings of a UUID that VMware's tools
use.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from webapp.clouds.characters import BLANKS, fold
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import ImageId
from webapp.clouds.pasted_text import strip_pasted_text

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
EXAMPLE = "501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091"

_HEX = "[0-9a-f]"
_SPELLINGS = re.compile(
    rf"""(?:urn:uuid:|uuid:)?
    (?: {_HEX}{{8}} -? {_HEX}{{4}} -? {_HEX}{{4}} -? {_HEX}{{4}} -? {_HEX}{{12}}
      # As in a .vmx file: 50 1e 5a 2b 8c 9d 0e 1f-2a 3b 4c 5d 6e 7f 80 91
      | (?:{_HEX}{{2}}[ ]){{7}} {_HEX}{{2}} [ -] (?:{_HEX}{{2}}[ ]){{7}} {_HEX}{{2}} )""",
    re.VERBOSE | re.ASCII,
)
_EXTRA_CHARACTERS = "{}()"
_MANAGED_OBJECT_ID = re.compile(
    r"(?<![0-9a-z])(?:(?P<vm>vm)|host|domain-[cs]|datacenter|group-[dhnsv]|resgroup|datastore"
    r"|network|dvportgroup)-[0-9]+(?![0-9a-z-])"
)
_ALMOST_UUID = re.compile(r"[0-9a-f]{6,10}-[0-9a-z-]{14,40}|[0-9a-f]{24,40}")
_VSPHERE_TEXT = re.compile(
    r"urn:vmomi|vm-[0-9]+$|://(?:[\w.-]*vcenter|[\w.:-]+/(?:ui|vsphere-client)(?:/|$))"
    r"|uuid\.(?:bios|location)|^\[[^\]]+\] |\.(?:vmtx|vmx|vmdk|ova|ovf)$"
)
"""A text that most likely comes from vSphere."""
_LABEL = re.compile(r"(?:(?:config\.)?instance[ _]?uuid|vc\.uuid)[\"'\s]{0,9}[:=][\"'\s]{0,9}")
"""The label before an instance UUID in a .vmx file, and in the output of PowerCLI and govc."""
_NOT_HEX = re.compile(r"[^0-9a-f-]")


def parse(text: str) -> ImageId:
    """Parse `text` as an instance UUID, and return the UUID in its canonical form.

    A label such as `vc.uuid =` may precede the UUID.

    Raises InvalidImageId with the reason. The time is linear in the length of `text`, which is
    limited.
    """
    value = strip_pasted_text(
        text, "This is too long for a UUID. Choose the template from the list.", _EXTRA_CHARACTERS
    ).lower()
    if not value:
        raise InvalidImageId(
            f"Choose a template from the list, or enter its instance UUID, such as {EXAMPLE}."
        )
    if label := _LABEL.match(value):
        value = value[label.end() :]
    if _SPELLINGS.fullmatch(value):
        digits = re.sub("[^0-9a-f]", "", value.removeprefix("urn:").removeprefix("uuid:"))
        return ImageId(
            "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        )
    if explanation := _explain_other_text(value):
        raise InvalidImageId(explanation, recognized=bool(_VSPHERE_TEXT.search(value)))
    is_almost_uuid = _ALMOST_UUID.fullmatch(value) is not None
    raise InvalidImageId(_explain_wrong_uuid(value), recognized=is_almost_uuid)


def parse_datacenter_path(text: str) -> str:
    """Return the path of a datacenter without the slashes and quotes around it.

    A name may contain a quote, so only a pair of quotes is removed.
    """
    path = text.strip(BLANKS)
    for pair in ('""', "''", "``", "“”", "‘’"):
        if len(path) > 1 and path[0] + path[-1] == pair:
            path = path[1:-1]
    return path.strip(BLANKS + "/")


def location_key(location: str) -> str:
    """Return a key that is equal for all spellings of a datacenter's path.

    Spellings may differ in case and in slashes, and may escape characters as in a URL.
    """
    return re.sub("/+", "/", fold(unquote(location)).strip("/"))


def parse_thumbprint(text: str) -> str:
    """Return the SHA-1 or SHA-256 thumbprint in `text` as lower-case hexadecimal digits, or ''."""
    # OpenSSL prints "SHA1 Fingerprint=" before the digits.
    digits = re.sub(r"[\s:-]", "", text.lower().rpartition("=")[2])
    return digits if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digits) else ""


def _explain_other_text(value: str) -> str:
    """Return the reason why `value` does not identify a template.

    Returns '' if `value` is not a known kind of text, such as a URL or a file path.
    """
    object_id = _MANAGED_OBJECT_ID.search(value)
    if object_id and (object_id["vm"] or "urn:vmomi" in value):
        return (
            f"An ID such as “{object_id[0]}” can refer to another object in another vCenter, so it "
            "doesn’t identify a template. Choose the template from the list, or enter its instance "
            "UUID."
        )
    if re.match(r"uuid\.(?:bios|location)\b", value):
        return (
            "This isn’t the instance UUID. In a .vmx file, the instance UUID is called vc.uuid. "
            "Enter it, or choose the template from the list."
        )
    if "://" in value or "urn:" in value:
        return (
            "A URL doesn’t contain the instance UUID, which identifies a template. Choose the "
            "template from the list."
        )
    if value.startswith("[") or value.endswith((".vmtx", ".vmx", ".vmdk", ".ova", ".ovf")):
        return (
            "This is a file path, but a template is identified by its instance UUID. Choose the "
            "template from the list."
        )
    return ""


def _explain_wrong_uuid(value: str) -> str:
    """Return the reason why `value` is not a UUID."""
    digits = value.replace("-", "")
    wrong = _NOT_HEX.search(value)
    if wrong and not 30 <= len(value) < 40:
        return (
            "This isn’t an instance UUID. Choose the template from the list, or enter its instance "
            f"UUID, such as {EXAMPLE}."
        )
    if wrong:
        return (
            f"“{wrong[0]}” isn’t allowed in a UUID. A UUID contains only the digits 0 to 9, the "
            "letters a to f, and hyphens. Copy the UUID again, or choose the template from the "
            "list."
        )
    if len(digits) != 32:
        return (
            f"A UUID has 32 hexadecimal digits, but this UUID has {len(digits)}. Copy the whole "
            "UUID, or choose the template from the list."
        )
    return (
        f"The hyphens in this UUID are in the wrong positions. Compare it with {EXAMPLE} and copy "
        "it again, or choose the template from the list."
    )
