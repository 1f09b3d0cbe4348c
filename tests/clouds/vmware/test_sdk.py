"""The sessions of the VMware adapter, and the certificates that its connections trust."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from pyVmomi import vim

from sandbox import faulty, tls, vmware
from sandbox.vmware_inventory import COPENHAGEN, DEBIAN, INVENTORY, UBUNTU
from tests.clouds.helpers import run_python
from tests.clouds.peer import SECRET
from tests.clouds.vmware import answers
from tests.clouds.vmware.answers import credentials
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import CloudUnreachable
from webapp.clouds.locators import Locator
from webapp.clouds.vmware import sdk
from webapp.clouds.vmware.adapter import VMware

ROOT = Path(__file__).parents[3]
LOCATOR = Locator(COPENHAGEN.path, UBUNTU.uuid)
OTHER = Locator(COPENHAGEN.path, DEBIAN.uuid)
ADDRESSES = ("127.0.0.1", "127.0.0.2")
"""pyVmomi's own connections to the first address do not verify certificates."""


@pytest.fixture
def vcenter() -> vmware.VCenter:
    return answers.vcenter()


@pytest.fixture
def good(vcenter: vmware.VCenter) -> Iterator[CredentialValues]:
    with vmware.serve(vcenter) as url:
        yield credentials(url)


def issue_certificate(
    tmp_path: Path, authority: tls.Authority
) -> tuple[ssl.SSLContext, x509.Certificate]:
    """Issue a certificate, and return it with the context of a server that uses it."""
    path = tmp_path / "certificate.pem"
    path.write_bytes(authority.issue())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, x509.load_pem_x509_certificate(path.read_bytes())


def test_the_sdk_is_loaded_on_first_use() -> None:
    code = (
        "import sys\n"
        "from webapp.clouds import CLOUDS\n"
        "CLOUDS['vmware'].parse_image_id('501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091')\n"
        "before = 'pyVmomi' in sys.modules\n"
        "CLOUDS['vmware'].warm_up()\n"
        "print(before, 'pyVmomi' in sys.modules)\n"
    )
    output = run_python(code)
    assert output.split() == ["False", "True"]


def test_a_session_is_reused(
    adapter: VMware, vcenter: vmware.VCenter, good: CredentialValues
) -> None:
    adapter.describe(good, LOCATOR)
    adapter.describe(good, OTHER)
    adapter.images(good, COPENHAGEN.path)
    adapter.locations(good)
    assert vcenter.calls.count("Login") == 1
    assert "Logout" not in vcenter.calls


def test_a_check_logs_in_again_and_ends_the_earlier_session(
    adapter: VMware, vcenter: vmware.VCenter, good: CredentialValues
) -> None:
    adapter.check(good)
    adapter.check(good)
    adapter.describe(good, LOCATOR)
    assert [each for each in vcenter.calls if each.startswith("Log")] == [
        "Login",
        "Login",
        "Logout",
    ]
    assert len(vcenter._sessions) == 1


def test_each_set_of_credentials_has_a_session(
    adapter: VMware, vcenter: vmware.VCenter, good: CredentialValues
) -> None:
    adapter.describe(good, LOCATOR)
    wrong = CredentialValues({**good, "password": "another"})
    with pytest.raises(Exception, match="rejected this username and password"):
        adapter.describe(wrong, LOCATOR)
    adapter.describe(good, LOCATOR)
    assert vcenter.calls.count("Login") == 2


def test_the_adapter_logs_in_again_after_a_restart(
    adapter: VMware, vcenter: vmware.VCenter, good: CredentialValues
) -> None:
    for work in (
        lambda: adapter.describe(good, LOCATOR),
        lambda: adapter.images(good, COPENHAGEN.path),
        lambda: adapter.locations(good),
    ):
        before = work()
        vcenter.calls.clear()
        vcenter.end_sessions()
        assert work() == before
        assert vcenter.calls.count("Login") == 1


def test_a_session_that_is_lost_during_a_look_up_is_replaced(
    adapter: VMware, vcenter: vmware.VCenter
) -> None:
    """The vCenter does not report the loss: it answers with objects without properties."""
    remaining = [1]

    def behave(request: faulty.Request) -> faulty.Answer | None:
        if b"<RetrievePropertiesEx" in request.body and remaining:
            remaining.pop()
            vcenter.end_sessions()
        return vcenter.behave(request)

    with answers.serve(behave) as url:
        good = credentials(url)
        remaining.clear()
        before = adapter.describe(good, LOCATOR)
        remaining.append(1)
        assert adapter.describe(good, LOCATOR) == before
    assert vcenter.calls.count("Login") == 2


def test_a_closed_connection_is_replaced(adapter: VMware, vcenter: vmware.VCenter) -> None:
    """A vCenter closes connections that are idle for a while."""
    closing = threading.Event()

    def behave(request: faulty.Request) -> faulty.Answer | None:
        if closing.is_set():
            closing.clear()
            return None
        return vcenter.behave(request)

    with answers.serve(behave) as url:
        before = adapter.describe(credentials(url), LOCATOR)
        closing.set()
        assert adapter.describe(credentials(url), LOCATOR) == before
    assert not closing.is_set()


def test_old_sessions_are_replaced(
    adapter: VMware,
    vcenter: vmware.VCenter,
    good: CredentialValues,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sdk, "SESSION_SECONDS", 0)
    adapter.describe(good, LOCATOR)
    adapter.describe(good, LOCATOR)
    assert vcenter.calls.count("Login") == 2


def test_concurrent_calls_use_one_session(
    adapter: VMware, vcenter: vmware.VCenter, good: CredentialValues
) -> None:
    """A thread ends its own session if another thread has logged in first."""
    with ThreadPoolExecutor(8) as threads:
        found = list(
            threads.map(
                lambda number: adapter.describe(good, (LOCATOR, OTHER)[number % 2]), range(32)
            )
        )
    assert {each.name for each in found[::2]} == {UBUNTU.name}
    assert {each.name for each in found[1::2]} == {DEBIAN.name}
    assert len(vcenter._sessions) == 1


@pytest.mark.parametrize(
    ("version", "used_version", "has_creation_date"),
    [
        ("6.0", "urn:vim25/6.0", False),
        ("6.5", "urn:vim25/6.0", False),
        ("6.7.3", "urn:vim25/6.7", True),
        ("7.0.3.0", "urn:vim25/7.0.0.0", True),
        ("8.0.3.0", "urn:vim25/7.0.0.0", True),
        ("9.0.0.0", "urn:vim25/7.0.0.0", True),
        ("10.0", "urn:vim25/7.0.0.0", True),
        ("", "urn:vim25/6.0", False),
    ],
)
def test_each_version_of_vcenter_is_supported(
    adapter: VMware,
    vcenter: vmware.VCenter,
    version: str,
    used_version: str,
    has_creation_date: bool,
) -> None:
    """The adapter does not request properties that an older vCenter does not have."""
    vcenter._content.about.apiVersion = version
    soap_actions = []

    def behave(request: faulty.Request) -> faulty.Answer | None:
        soap_actions.append(request.headers["SOAPAction"])
        return vcenter.behave(request)

    with answers.serve(behave) as url:
        details = adapter.describe(credentials(url), LOCATOR)
    assert soap_actions[-1] == f'"{used_version}"'
    assert (details.created_at is not None) == has_creation_date


@pytest.mark.parametrize("host", ADDRESSES)
def test_a_certificate_is_verified_with_the_configured_authority(
    vcenter: vmware.VCenter, host: str
) -> None:
    with faulty.serve(vcenter.behave, tls=tls.trusted(), host=host) as url:
        assert VMware().check(credentials(url)).account == INVENTORY.uuid
        for ca in ("", tls.create_authority().pem):
            with pytest.raises(CloudUnreachable, match=r"certificate of .* can’t be verified"):
                VMware().check(credentials(url, ca=ca))


@pytest.mark.parametrize("host", ADDRESSES)
@pytest.mark.parametrize("algorithm", [SHA1(), SHA256()], ids=["SHA-1", "SHA-256"])  # noqa: S303
@pytest.mark.parametrize("thumbprint_format", ["{}", "{}:"])
def test_a_certificate_can_be_pinned_by_its_thumbprint(
    vcenter: vmware.VCenter,
    tmp_path: Path,
    host: str,
    algorithm: HashAlgorithm,
    thumbprint_format: str,
) -> None:
    context, certificate = issue_certificate(tmp_path, tls.create_authority())
    digits = certificate.fingerprint(algorithm).hex()
    if ":" in thumbprint_format:
        digits = ":".join(digits[index : index + 2] for index in range(0, len(digits), 2)).upper()
    with faulty.serve(vcenter.behave, tls=context, host=host) as url:
        pinned = credentials(url, verification="thumbprint", thumbprint=digits, ca="")
        assert VMware().check(pinned).account == INVENTORY.uuid


@pytest.mark.parametrize("host", ADDRESSES)
def test_a_certificate_with_another_thumbprint_is_rejected(
    adapter: VMware, vcenter: vmware.VCenter, host: str
) -> None:
    """Each attempt fails before it sends anything, even though the authority is trusted."""
    with faulty.serve(vcenter.behave, tls=tls.trusted(), host=host) as url:
        pinned = credentials(url, verification="thumbprint", thumbprint="1a" * 32)
        for _ in range(3):
            with pytest.raises(CloudUnreachable, match="doesn’t have the thumbprint"):
                adapter.check(pinned)
    assert vcenter.calls == []


def test_a_replaced_certificate_is_rejected(
    adapter: VMware, vcenter: vmware.VCenter, tmp_path: Path
) -> None:
    """A cached session connects again, and verifies the certificate again."""
    context, certificate = issue_certificate(tmp_path, tls.create_authority())
    pinned = certificate.fingerprint(SHA256()).hex()
    with faulty.serve(vcenter.behave, tls=context) as url:
        trusting = credentials(url, verification="thumbprint", thumbprint=pinned, ca="")
        adapter.describe(trusting, LOCATOR)
        adapter._sessions._get(trusting).content.searchIndex._stub.DropConnections()
        issue_certificate(tmp_path, tls.create_authority())
        context.load_cert_chain(tmp_path / "certificate.pem")
        vcenter.calls.clear()
        with pytest.raises(CloudUnreachable, match="doesn’t have the thumbprint"):
            adapter.describe(trusting, LOCATOR)
    assert vcenter.calls == []


@pytest.mark.parametrize("host", ADDRESSES)
def test_verification_can_be_turned_off(vcenter: vmware.VCenter, host: str) -> None:
    with faulty.serve(vcenter.behave, tls=tls.untrusted(), host=host) as url:
        unverified = credentials(url, verification="off", ca="")
        assert VMware().check(unverified).account == INVENTORY.uuid
        for how in ("verify", ""):
            with pytest.raises(CloudUnreachable, match="certificate"):
                VMware().check(credentials(url, verification=how))


def test_a_self_signed_certificate_has_its_own_message(
    adapter: VMware, vcenter: vmware.VCenter, tmp_path: Path
) -> None:
    authority = tls.create_authority()
    path = tmp_path / "self-signed.pem"
    path.write_bytes(tls._pem(authority.key) + authority.pem.encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    words = r"self-signed, or .* Edit .* by its thumbprint"
    with (
        faulty.serve(vcenter.behave, tls=context) as url,
        pytest.raises(CloudUnreachable, match=words),
    ):
        adapter.check(credentials(url))


def test_proxies_of_the_server_are_ignored(
    adapter: VMware, good: CredentialValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:1")
    assert adapter.check(good).account == INVENTORY.uuid


def test_the_sandbox_requires_a_session(vcenter: vmware.VCenter, good: CredentialValues) -> None:
    session = sdk.Session(good)
    assert session.user == vmware.USER
    with pytest.raises(vim.fault.InvalidLogin):
        session.content.sessionManager.Login(vmware.USER, SECRET)
    session.end()
    with pytest.raises(vim.fault.NotAuthenticated):
        session.content.searchIndex.FindByInventoryPath(COPENHAGEN.path)


def test_the_credentials_of_the_sandbox_are_valid() -> None:
    authority = tls.create_authority()
    with vmware.start(authority=authority) as url:
        values = CredentialValues(vmware.credentials(url, authority))
        VMware().validate(values)
        assert VMware().describe(values, LOCATOR).name == UBUNTU.name
