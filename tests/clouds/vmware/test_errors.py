"""The error for each failure of a vCenter or of the connection to it."""

from __future__ import annotations

import logging
import re
import socket
import time
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from sandbox import faulty, tls, vmware
from sandbox.faulty import Behavior, answering, slow
from sandbox.vmware_inventory import COPENHAGEN, INVENTORY, UBUNTU
from tests.clouds.helpers import cloud_error
from tests.clouds.peer import SECRET
from tests.clouds.vmware.answers import (
    after_login,
    by_method,
    credentials,
    denied,
    fault,
    returning,
    serve,
    vcenter,
)
from webapp.clouds import base
from webapp.clouds.errors import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    ImageNotVisible,
    PermissionDenied,
)
from webapp.clouds.locators import Locator
from webapp.clouds.vmware import connection, errors
from webapp.clouds.vmware.adapter import VMware, _require_in_datacenter
from webapp.clouds.vmware.inventory import VirtualMachine

LOCATOR = Locator(COPENHAGEN.path, UBUNTU.uuid)
Collector = vmodl.query.PropertyCollector
XML = "text/xml"


def look_up_error(adapter: VMware, behavior: Behavior, **changes: str) -> CloudError:
    """Return the error that looking up a template raises."""
    with serve(behavior) as url:
        return cloud_error(lambda: adapter.describe(credentials(url, **changes), LOCATOR))


FAULTS: tuple[tuple[Any, type[CloudError], str], ...] = (
    (vim.fault.InvalidLogin(), CredentialsRejected, "rejected this username and password"),
    (vim.fault.PasswordExpired(), CredentialsRejected, "password of this user has expired"),
    (denied("System.Read"), PermissionDenied, "privilege System.Read on the datacenter dat"),
    (vim.fault.NoPermission(), PermissionDenied, "don’t have a privilege"),
    (vim.fault.HostConnectFault(), CloudUnreachable, "no connection to the host of the template"),
    (vmodl.fault.HostNotReachable(), CloudUnreachable, "host of the template isn’t responding"),
    (vim.fault.Timedout(), CloudUnreachable, "timed out in the vCenter"),
    (vmodl.fault.NotSupported(), CloudUnreachable, "doesn’t support a required operation"),
    (
        vmodl.fault.MethodNotFound(receiver=vim.Folder("group-d1"), method="x"),
        CloudUnreachable,
        "isn’t a vCenter Server",
    ),
    (vmodl.fault.SystemError(reason="x"), CloudUnreachable, "problem .*SystemError"),
    (vmodl.RuntimeFault(), CloudUnreachable, "temporary problem .*RuntimeFault"),
)


@pytest.mark.parametrize(("error", "kind", "words"), FAULTS, ids=lambda each: type(each).__name__)
def test_each_fault_has_its_own_message(
    adapter: VMware, error: Any, kind: type[CloudError], words: str
) -> None:
    raised = look_up_error(adapter, after_login(fault(error)))
    assert pytest.RaisesExc(kind, match=words).matches(raised)


def test_every_message_is_different() -> None:
    sentences = [words for _, _, words in errors._FAULTS]
    sentences += [words for _, words in errors._STATUSES.values()]
    assert len(set(sentences)) == len(sentences) >= 13


def test_a_fault_that_indicates_our_own_bug_is_not_translated(adapter: VMware) -> None:
    wrong = fault(vmodl.query.InvalidProperty(name="config.nothing"))
    with serve(after_login(wrong)) as url, pytest.raises(vmodl.query.InvalidProperty):
        adapter.describe(credentials(url), LOCATOR)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (301, CloudUnreachable, "redirects to another URL .*301"),
        (401, CredentialsRejected, "requires a login of its own"),
        (403, PermissionDenied, "doesn’t allow requests from this server"),
        (404, CloudUnreachable, "no vCenter at this path"),
        (418, CloudUnreachable, "didn’t respond like a vCenter"),
        (429, CloudThrottled, "throttling .* Wait a minute"),
        (500, CloudUnreachable, "temporary problem .*500"),
        (502, CloudUnreachable, "temporary problem .*502"),
        (503, CloudUnreachable, "isn’t ready .* Wait a few minutes"),
    ],
)
def test_each_status_has_its_own_message(
    adapter: VMware, status: int, kind: type[CloudError], words: str
) -> None:
    """Test the status as the first answer, and as the answer after a successful login."""
    answer = faulty.Answer(status, b"<html>No</html>", "text/html", {"Retry-After": "30"})
    for behavior in (lambda _: answer, after_login(lambda _: answer)):
        error = look_up_error(adapter, behavior)
        assert pytest.RaisesExc(kind, match=words).matches(error)


@pytest.mark.parametrize(
    "answer",
    [
        answering(200, "<html>Welcome</html>", "text/html"),
        answering(200, "<html>Welcome</html>", XML),
        answering(200, "<html><p>", XML),
        answering(200, "", XML),
        answering(200, "", "text/plain"),
        answering(200, "{}", "application/json"),
        answering(200, "\x00", XML),
        answering(500, "<html>Oops</html>", XML),
        answering(500, "<a/>", XML),
        answering(200, '<LoginResponse><returnval type="Nothing"/></LoginResponse>', XML),
        answering(200, '<aResponse><returnval type="Folder">a</returnval></aResponse>', XML),
        answering(200, "<aResponse><returnval><about><x/></about></returnval></aResponse>", XML),
        returning("RetrieveServiceContent", vim.ServiceInstanceContent(
            rootFolder=vim.Folder("group-d1"),
            propertyCollector=Collector("pc"),
            about=vim.AboutInfo(**dict.fromkeys(
                ("name", "fullName", "vendor", "version", "build", "osType", "productLineId",
                 "apiType", "apiVersion"), "",
            )),
        )),
    ],
)  # fmt: skip
def test_unexpected_answers_are_reported(adapter: VMware, answer: Behavior) -> None:
    with serve(answer) as url:
        good = credentials(url)
        for call in (
            lambda: adapter.describe(good, LOCATOR),
            lambda: adapter.check(good),
            lambda: adapter.locations(good),
            lambda: adapter.images(good, LOCATOR.location),
        ):
            error = cloud_error(call)
            assert isinstance(error, CloudUnreachable)
            assert "didn’t respond like a vCenter" in str(error)


@pytest.mark.parametrize("method", ["Login", "CreateContainerView", "RetrievePropertiesEx"])
@pytest.mark.parametrize(
    "answer",
    [
        answering(200, "<a/>", XML),
        answering(200, "<aResponse/>", XML),
        answering(200, "<aResponse><returnval>a</returnval></aResponse>", XML),
    ],
)
def test_unexpected_answers_after_the_login_are_reported(
    adapter: VMware, method: str, answer: Behavior
) -> None:
    """The adapter must not report a datacenter without templates instead."""
    with serve(by_method(**{method: answer})) as url:
        error = cloud_error(lambda: adapter.images(credentials(url), LOCATOR.location))
    assert isinstance(error, CloudUnreachable)
    assert "didn’t respond like a vCenter" in str(error)


def test_a_single_host_is_not_sent_the_password(adapter: VMware) -> None:
    content = vcenter()._content
    content.about.apiType = "HostAgent"
    bodies: list[bytes] = []

    def behave(request: faulty.Request) -> faulty.Answer | None:
        bodies.append(request.body)
        return returning("RetrieveServiceContent", content)(request)

    with serve(behave) as url:
        error = cloud_error(lambda: adapter.check(credentials(url)))
    assert isinstance(error, CloudUnreachable)
    assert "URL of a single ESXi host" in str(error)
    assert not any(SECRET.encode() in each for each in bodies)


def unreadable_machine(error: Any, *names: str) -> Behavior:
    """Return the behavior of a vCenter that can read only a part of a virtual machine.

    The answer has the properties `names`, and `error` instead of the property `config.template`.
    """
    machine = vim.VirtualMachine("vm-1")
    content = Collector.ObjectContent(
        obj=machine,
        propSet=[vmodl.DynamicProperty(name=name, val="x") for name in names],
        missingSet=[Collector.MissingProperty(path="config.template", fault=error)],
    )
    view = Collector.ObjectContent(obj=vim.view.ContainerView("view-1"))
    result = Collector.RetrieveResult(objects=[content, view])
    return by_method(
        FindByUuid=returning("FindByUuid", machine),
        CreateContainerView=returning("CreateContainerView", view.obj),
        RetrievePropertiesEx=returning("RetrievePropertiesEx", result),
    )


@pytest.mark.parametrize("names", [(), ("name",)])
def test_unreadable_templates_are_reported(adapter: VMware, names: tuple[str, ...]) -> None:
    """The vCenter answers with objects without properties.

    The adapter must not report that there are no templates.
    """
    with serve(unreadable_machine(denied("System.Read"), *names)) as url:
        good = credentials(url)
        for call in (
            lambda: adapter.images(good, LOCATOR.location),
            lambda: adapter.describe(good, LOCATOR),
            lambda: adapter.locations(good),
        ):
            error = cloud_error(call)
            assert isinstance(error, PermissionDenied)
            assert "System.Read" in str(error)


def test_a_template_on_a_disconnected_host_is_reported(adapter: VMware) -> None:
    """The template then has a name, but no configuration."""
    error = look_up_error(adapter, unreadable_machine(vmodl.fault.SystemError(reason="x"), "name"))
    assert "can’t read the configuration of “x”" in str(error)


def test_a_template_in_an_unreadable_folder_is_described(adapter: VMware) -> None:
    """The vCenter finds the template in the datacenter, but does not report its folders."""
    machine = vim.VirtualMachine("vm-1")
    properties = {"name": "x", "config.template": True}
    content = Collector.ObjectContent(
        obj=machine,
        propSet=[vmodl.DynamicProperty(name=name, val=val) for name, val in properties.items()],
    )
    behavior = by_method(
        FindByUuid=returning("FindByUuid", machine),
        RetrievePropertiesEx=returning(
            "RetrievePropertiesEx", Collector.RetrieveResult(objects=[content])
        ),
    )
    with serve(behavior) as url:
        assert adapter.describe(credentials(url), LOCATOR).name == "x"


def test_a_session_that_ends_immediately_is_not_replaced_again(adapter: VMware) -> None:
    session_ended = vim.fault.NotAuthenticated(privilegeId="System.View")
    logins: list[faulty.Request] = []
    sandbox = vcenter()

    def log_in(request: faulty.Request) -> faulty.Answer | None:
        logins.append(request)
        return sandbox.behave(request)

    for ended in (fault(session_ended), unreadable_machine(session_ended)):
        logins.clear()
        error = look_up_error(
            adapter, by_method(ended, RetrieveServiceContent=sandbox.behave, Login=log_in)
        )
        assert isinstance(error, CredentialsRejected)
        assert "ended the session immediately after the login" in str(error)
        assert len(logins) == 1


def test_a_template_deleted_during_a_look_up_is_not_found(adapter: VMware) -> None:
    """The adapter repeats the call once. If this fails as well, the template is not found."""
    deleted = fault(vmodl.fault.ManagedObjectNotFound(obj=vim.VirtualMachine("vm-1")))
    sandbox, faults_left = vcenter(), [deleted]

    def behave(request: faulty.Request) -> faulty.Answer | None:
        return faults_left.pop()(request) if faults_left else sandbox.behave(request)

    with serve(by_method(sandbox.behave, RetrievePropertiesEx=behave)) as url:
        assert len(adapter.images(credentials(url), LOCATOR.location)) == 7
    error = look_up_error(adapter, by_method(RetrievePropertiesEx=deleted))
    assert isinstance(error, ImageNotFound)
    assert "deleted in vCenter during the look-up" in str(error)
    found = returning("FindByUuid", vim.VirtualMachine("vm-9999"))
    error = look_up_error(adapter, by_method(FindByUuid=found))
    assert isinstance(error, ImageNotFound)
    assert "There is no template" in str(error)


def test_another_object_deleted_during_a_look_up_says_nothing_about_the_template(
    adapter: VMware,
) -> None:
    deleted = fault(vmodl.fault.ManagedObjectNotFound(obj=vim.Datacenter("datacenter-2")))
    error = look_up_error(adapter, by_method(RetrievePropertiesEx=deleted))
    assert isinstance(error, CloudUnreachable)
    assert "deleted during the look-up. Try again." in str(error)


@pytest.mark.parametrize("role", [-5, -4, -3])
def test_a_missing_template_may_be_hidden_from_a_user_without_a_role_on_the_root_folder(
    adapter: VMware, role: int
) -> None:
    hiding = vmware.VCenter(INVENTORY, password=SECRET, root_role=role)
    missing = returning("FindByUuid", None)
    error = look_up_error(adapter, by_method(hiding.behave, FindByUuid=missing))
    assert type(error) is ImageNotVisible
    assert "The template may be hidden" in str(error)
    error = look_up_error(adapter, by_method(FindByUuid=missing))
    assert isinstance(error, ImageNotFound)


def test_a_template_in_a_hidden_datacenter_is_not_missing() -> None:
    machine = VirtualMachine(properties={"name": "web"})
    with pytest.raises(ImageNotVisible, match="in a datacenter that these credentials can’t see"):
        _require_in_datacenter(machine, LOCATOR)


def test_a_refused_connection_is_reported(adapter: VMware) -> None:
    with faulty.refusing() as url:
        error = cloud_error(lambda: adapter.describe(credentials(url), LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "could be established. Check the vCenter URL" in str(error)


def test_an_unresolvable_host_name_is_reported(
    adapter: VMware, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unresolvable(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolvable)
    error = cloud_error(lambda: adapter.describe(credentials("https://nowhere.invalid"), LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "can’t be resolved" in str(error)


def test_interrupted_connections_are_reported(adapter: VMware) -> None:
    for behavior in (faulty.resetting, after_login(faulty.resetting)):
        error = look_up_error(adapter, behavior)
        assert isinstance(error, CloudUnreachable)
        assert "was interrupted" in str(error)


def test_a_silent_vcenter_is_reported(adapter: VMware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "READ_SECONDS", 0.3)
    silent = slow(30, answering(200))
    for behavior in (silent, after_login(silent)):
        error = look_up_error(adapter, behavior)
        assert isinstance(error, CloudUnreachable)
        assert "took too long to respond" in str(error)


def test_a_list_of_a_silent_vcenter_ends_after_one_timeout(
    adapter: VMware, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter does not wait a second time to destroy the view of a silent vCenter."""
    monkeypatch.setattr(connection, "READ_SECONDS", 1.0)
    silent = slow(30, answering(200))
    adapter.warm_up()
    with serve(by_method(RetrievePropertiesEx=silent, DestroyView=silent)) as url:
        began = time.monotonic()
        error = cloud_error(lambda: adapter.images(credentials(url), LOCATOR.location))
        assert time.monotonic() - began < 2.0
    assert "took too long to respond" in str(error)


def test_a_connection_timeout_is_reported(adapter: VMware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    with socket.create_server((faulty.LOOPBACK, 0)) as silent:
        url = f"https://{faulty.LOOPBACK}:{silent.getsockname()[1]}"
        error = cloud_error(lambda: adapter.describe(credentials(url), LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "No connection to VMware vSphere could be established" in str(error)


def test_a_trickling_answer_is_reported(adapter: VMware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "CALL_SECONDS", 1.0)
    error = look_up_error(adapter, after_login(faulty.trickling))
    assert isinstance(error, CloudUnreachable)
    assert "didn’t respond within 1 seconds" in str(error)


def test_a_server_without_tls_is_reported(adapter: VMware) -> None:
    with faulty.serve(answering(200)) as url:
        error = cloud_error(lambda: adapter.describe(credentials(url), LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "No TLS connection" in str(error)


def test_untrusted_and_expired_certificates_are_reported(adapter: VMware) -> None:
    for context, words in (
        (tls.untrusted(), "can’t be verified"),
        (tls.expired(), "certificate .* has expired"),
        (tls.authority().context(addresses=("127.0.0.2",)), "was issued for a different host name"),
    ):
        with faulty.serve(vcenter().behave, tls=context) as url:
            error = cloud_error(lambda: adapter.check(credentials(url)))
        assert isinstance(error, CloudUnreachable)
        assert re.search(words, str(error))


def test_the_password_is_not_logged(adapter: VMware, caplog: pytest.LogCaptureFixture) -> None:
    """The vCenter repeats the password in its error message."""
    with caplog.at_level(logging.DEBUG):
        repeated = fault(vim.fault.InvalidLogin(), f"No user with {SECRET}")
        error = look_up_error(adapter, by_method(Login=repeated))
    assert "InvalidLogin" in caplog.text
    assert "No user with …" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in str(error)
    assert vmware.PASSWORD != SECRET
