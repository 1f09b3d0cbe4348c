"""Create the sandbox's users, regions and images in a real cloud."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import requests

from sandbox import openstack
from sandbox.openstack_images import ADMIN_PROJECT, CATALOG, OTHER_PROJECT, REGIONS, SandboxImage

ADMIN_PASSWORD = "admin"
SECONDS = 60


class Client:
    """A user who is logged in to Keystone."""

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

    def create(self, kind: str, **fields: Any) -> Any:
        """Create an object in Keystone, for example a user or a project, and return it."""
        url = f"{self.auth_url}/{kind}s"
        return self.call("POST", url, json={kind: fields})[kind]


def fill(auth_url: str, glances: Sequence[str]) -> dict[str, Any]:
    """Fill the cloud, and return the values that tests need, such as URLs.

    `glances` contains the URL of each region's Glance, in the order of REGIONS.
    """
    admin = Client(auth_url, "admin", ADMIN_PASSWORD, "admin")
    _create_endpoints(admin, auth_url, glances)
    roles = {role["name"]: role["id"] for role in admin.call("GET", f"{auth_url}/roles")["roles"]}
    _create_user(admin, "glance", "glance", _create_project(admin, "service"), roles["admin"])
    acme = _create_project(admin, openstack.PROJECT)
    _create_user(admin, openstack.USER, openstack.PASSWORD, acme, roles["member"])
    auditor = admin.create("role", name="auditor")["id"]
    _create_user(admin, openstack.AUDITOR, openstack.PASSWORD, acme, auditor)
    other = _create_project(admin, OTHER_PROJECT)
    _create_user(admin, OTHER_PROJECT, openstack.PASSWORD, other, roles["member"])
    owners = {
        ADMIN_PROJECT: admin,
        openstack.PROJECT: Client(auth_url, openstack.USER, openstack.PASSWORD, openstack.PROJECT),
        OTHER_PROJECT: Client(auth_url, OTHER_PROJECT, openstack.PASSWORD, OTHER_PROJECT),
    }
    for image in CATALOG:
        glance = glances[REGIONS.index(image.region)]
        _create_image(owners[image.project], admin, f"{glance}/v2/images", image)
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


def _create_endpoints(admin: Client, auth_url: str, glances: Sequence[str]) -> None:
    for endpoint in admin.call("GET", f"{auth_url}/endpoints")["endpoints"]:
        url = f"{auth_url}/endpoints/{endpoint['id']}"
        admin.call("PATCH", url, json={"endpoint": {"url": auth_url}})
    for region in REGIONS[1:]:
        admin.create("region", id=region)
    service = admin.create("service", type="image", name="glance")
    for region, glance in zip(REGIONS, glances, strict=True):
        for interface in ("public", "internal"):
            admin.create(
                "endpoint",
                service_id=service["id"],
                region_id=region,
                interface=interface,
                url=glance,
            )


def _create_project(admin: Client, name: str) -> str:
    project: str = admin.create("project", name=name, domain_id="default")["id"]
    return project


def _create_user(admin: Client, name: str, password: str, project: str, role: str) -> None:
    user = admin.create("user", name=name, password=password, domain_id="default")["id"]
    admin.call("PUT", f"{admin.auth_url}/projects/{project}/users/{user}/roles/{role}")


def _create_image(owner: Client, admin: Client, images: str, image: SandboxImage) -> None:
    owner.call("POST", images, json=image.creation_fields())
    url = f"{images}/{image.image_id}"
    if image.has_data:
        headers = {"Content-Type": "application/octet-stream"}
        owner.call("PUT", f"{url}/file", data=_data(image), headers=headers)
    if image.status == "deactivated":
        admin.call("POST", f"{url}/actions/deactivate")


def _data(image: SandboxImage) -> bytes:
    """Return the shortest data that Glance accepts for a disk of this size and format."""
    if image.disk_format == "raw":
        return b"\0" * 512 if image.size else b""
    version, cluster_bits = 2, 16
    fields = (version, 0, 0, cluster_bits, image.disk, *(0,) * 7)
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", *fields)
    return header.ljust(1024, b"\0")
