"""Fill a real cloud with what the sandbox has: its people, its regions and its images."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import requests

from sandbox import openstack
from sandbox.openstack_images import ADMIN_PROJECT, CATALOGUE, FOREIGN_PROJECT, REGIONS, Known

ADMIN_PASSWORD = "admin"
SECONDS = 60


class Client:
    """Somebody who is logged in."""

    def __init__(self, auth_url: str, user: str, password: str, project: str) -> None:
        self.auth_url = auth_url
        domain = {"domain": {"id": "default"}}
        body: dict[str, Any] = {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": user, "password": password, **domain}},
                },
                "scope": {"project": {"name": project, **domain}},
            }
        }
        answer = requests.post(f"{auth_url}/auth/tokens", json=body, timeout=SECONDS)
        answer.raise_for_status()
        self.token = answer.headers["X-Subject-Token"]
        self.user_id = answer.json()["token"]["user"]["id"]

    def call(self, method: str, url: str, **kwargs: Any) -> Any:
        headers = {"X-Auth-Token": self.token, **kwargs.pop("headers", {})}
        answer = requests.request(method, url, headers=headers, timeout=SECONDS, **kwargs)
        if not answer.ok:
            raise RuntimeError(f"{method} {url}: {answer.status_code} {answer.text}")
        return answer.json() if answer.text else None

    def make(self, kind: str, **said: Any) -> Any:
        """One of Keystone's things."""
        url = f"{self.auth_url}/{kind}s"
        return self.call("POST", url, json={kind: said})[kind]


def fill(auth_url: str, glances: Sequence[str]) -> dict[str, Any]:
    """`glances` has the address of each region's. Returns what tests need to know."""
    admin = Client(auth_url, "admin", ADMIN_PASSWORD, "admin")
    _catalogue(admin, auth_url, glances)
    roles = {each["name"]: each["id"] for each in admin.call("GET", f"{auth_url}/roles")["roles"]}
    _person(admin, "glance", "glance", _project(admin, "service"), roles["admin"])
    own = _project(admin, openstack.PROJECT)
    _person(admin, openstack.USER, openstack.PASSWORD, own, roles["member"])
    bare = admin.make("role", name="auditor")["id"]
    _person(admin, openstack.AUDITOR, openstack.PASSWORD, own, bare)
    foreign = _project(admin, FOREIGN_PROJECT)
    _person(admin, FOREIGN_PROJECT, openstack.PASSWORD, foreign, roles["member"])
    owners = {
        ADMIN_PROJECT: admin,
        openstack.PROJECT: Client(auth_url, openstack.USER, openstack.PASSWORD, openstack.PROJECT),
        FOREIGN_PROJECT: Client(auth_url, FOREIGN_PROJECT, openstack.PASSWORD, FOREIGN_PROJECT),
    }
    for known in CATALOGUE:
        glance = glances[REGIONS.index(known.region)]
        _image(owners[known.project], admin, f"{glance}/v2/images", known)
    user = owners[openstack.PROJECT]
    application = user.call(
        "POST",
        f"{auth_url}/users/{user.user_id}/application_credentials",
        json={
            "application_credential": {
                "name": "image-registry",
                "secret": openstack.APPLICATION_SECRET,
            }
        },
    )["application_credential"]
    return {
        "auth_url": auth_url,
        "glances": list(glances),
        "application_credential_id": application["id"],
        "admin_password": ADMIN_PASSWORD,
    }


def _catalogue(admin: Client, auth_url: str, glances: Sequence[str]) -> None:
    for each in admin.call("GET", f"{auth_url}/endpoints")["endpoints"]:
        url = f"{auth_url}/endpoints/{each['id']}"
        admin.call("PATCH", url, json={"endpoint": {"url": auth_url}})
    for region in REGIONS[1:]:
        admin.make("region", id=region)
    service = admin.make("service", type="image", name="glance")
    for region, glance in zip(REGIONS, glances, strict=True):
        for interface in ("public", "internal"):
            admin.make(
                "endpoint",
                service_id=service["id"],
                region_id=region,
                interface=interface,
                url=glance,
            )


def _project(admin: Client, name: str) -> str:
    project: str = admin.make("project", name=name, domain_id="default")["id"]
    return project


def _person(admin: Client, name: str, password: str, project: str, role: str) -> None:
    user = admin.make("user", name=name, password=password, domain_id="default")["id"]
    admin.call("PUT", f"{admin.auth_url}/projects/{project}/users/{user}/roles/{role}")


def _image(owner: Client, admin: Client, images: str, known: Known) -> None:
    owner.call("POST", images, json=known.given())
    url = f"{images}/{known.image_id}"
    if known.has_data:
        headers = {"Content-Type": "application/octet-stream"}
        owner.call("PUT", f"{url}/file", data=_data(known), headers=headers)
    if known.status == "deactivated":
        admin.call("POST", f"{url}/actions/deactivate")


def _data(known: Known) -> bytes:
    """As little as Glance takes for a disk of that size in that format."""
    if known.disk_format == "raw":
        return b"\0" * 512 if known.size else b""
    version, cluster_bits = 2, 16
    fields = (version, 0, 0, cluster_bits, known.disk, *(0,) * 7)
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", *fields)
    return head.ljust(1024, b"\0")
