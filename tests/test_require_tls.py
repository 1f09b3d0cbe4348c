"""With REQUIRE_TLS, connections to other machines are encrypted, and certificates verified."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from models import CloudCredentials
from tests.conftest import ActorOf, ScopeAt
from tests.environ import ENVIRON
from webapp import database
from webapp.clouds import CLOUDS
from webapp.clouds.connection_errors import find_connection_failure
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import InvalidCredentials
from webapp.clouds.outgoing import encryption
from webapp.clouds.outgoing.connections import configure_session
from webapp.credentials import cloud_credentials
from webapp.credentials.cloud_credentials import CredentialsError
from webapp.credentials.vault import Vault
from webapp.settings import Settings, SettingsError, read_settings

MAIL = {"MAIL_FROM": "a@example.com", "PUBLIC_URL": "https://registry.example.com"}
DATABASE_HOSTS = (
    "db.example.com/x",
    "10.0.0.1/x",
    "db.example.com/x?sslmode=require",
    "db.example.com/x?sslmode=verify-ca",
    "/x?host=localhost,db.example.com",
    "localhost/x?hostaddr=10.0.0.1",
    "/x?service=registry",
)
REDIS_OPTIONS = (
    "ssl_cert_reqs=none",
    "ssl_check_hostname=false",
    # The client of Redis uses the first value.
    "ssl_cert_reqs=none&ssl_cert_reqs=required",
    "ssl_check_hostname=false&ssl_check_hostname=true",
)
LOCAL_DATABASES = (
    "localhost/x",
    "127.0.0.1/x",
    "[::1]/x",
    "/x",
    "%2Frun%2Fpostgresql/x",
    "/x?host=/run/postgresql",
    "db.example.com/x?sslmode=verify-full",
    "/x?host=a,b&port=1,2&sslmode=verify-full",
)


def settings_with(**changes: str) -> Settings:
    """Read the settings as `create_app` does."""
    settings = read_settings({**ENVIRON, "REQUIRE_TLS": "true", **changes})
    database.require_tls(settings.database_url)
    database.require_tls(settings.direct_database_url, "DIRECT_DATABASE_URL")
    return settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DATABASE_URL", f"postgresql://u:hidden@{each}") for each in DATABASE_HOSTS),
        ("DIRECT_DATABASE_URL", "postgresql://u:hidden@db.example.com/x"),
        ("REDIS_URL", "redis://:hidden@redis.example.com:6379/0"),
        ("REDIS_URL", "redis:///0?host=redis.example.com"),
        ("REDIS_URL", "redis+cluster://localhost:6379"),
        *(("REDIS_URL", f"rediss://:hidden@redis.example.com?{each}") for each in REDIS_OPTIONS),
        ("SMTP_URL", "smtp://mail.example.com"),
    ],
)
def test_settings_without_verified_tls_are_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"With REQUIRE_TLS, {name} must") as caught:
        settings_with(**{name: value, **MAIL})
    assert "hidden" not in str(caught.value)
    read_settings({**ENVIRON, name: value, **MAIL})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DATABASE_URL", f"postgresql://{each}") for each in LOCAL_DATABASES),
        ("DATABASE_URL", "sqlite:////srv/registry.db"),
        ("REDIS_URL", "redis://localhost:6379/0"),
        ("REDIS_URL", "redis+unix:///run/redis.sock"),
        ("REDIS_URL", "rediss://redis.example.com?ssl_cert_reqs=required"),
        ("SMTP_URL", "smtp://127.0.0.1"),
        ("SMTP_URL", "smtp+starttls://mail.example.com"),
        ("SMTP_URL", "smtps://mail.example.com"),
    ],
)
def test_encrypted_and_local_connections_are_accepted(name: str, value: str) -> None:
    assert settings_with(**{name: value, **MAIL}).require_tls


@pytest.mark.parametrize("name", ["PGHOST", "PGHOSTADDR", "PGSERVICE"])
def test_no_environment_variable_of_libpq_leads_elsewhere_without_tls(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "db.example.com")
    for url in ("postgresql:///x", "postgresql://localhost/x"):
        with pytest.raises(SettingsError, match=f"the environment variable {name} must not be set"):
            settings_with(DATABASE_URL=url)
        settings_with(DATABASE_URL=f"{url}?sslmode=verify-full")
    settings_with(DATABASE_URL="sqlite:////srv/registry.db")


@pytest.fixture
def required() -> Iterator[None]:
    encryption.configure(required=True)
    yield
    encryption.configure(required=False)


AWS = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "hunter2-hunter2"}
PLAIN = {**AWS, "endpoint_url": "http://cloud.example.com"}
VCENTER = {
    "vcenter_url": "https://vcenter.example.com",
    "username": "reader",
    "password": "hunter2-hunter2",
    "verification": "off",
}


@pytest.mark.usefixtures("required", "no_network")
def test_credentials_without_tls_are_neither_saved_nor_used(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    actor, acme = actor_of("account-admin"), scope("acme")
    with pytest.raises(CredentialsError, match="Endpoint URL must begin with https://") as caught:
        cloud_credentials.add(actor, acme, vault, "aws", "plain", PLAIN, checked=False)
    assert caught.value.field == "endpoint_url"
    assert not CloudCredentials.select().exists()
    # Credentials that were stored before REQUIRE_TLS was set.
    for call in (CLOUDS["aws"].check, CLOUDS["aws"].locations):
        with pytest.raises(InvalidCredentials, match="requires encrypted connections"):
            call(CredentialValues(PLAIN))
    for url in ("https://cloud.example.com", "http://127.0.0.1:9", "http://localhost:9", ""):
        values = {**AWS, "endpoint_url": url}
        cloud_credentials.add(actor, acme, vault, "aws", f"at {url}", values, checked=False)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_url_of_each_cloud_must_be_encrypted(
    cloud: str, request: pytest.FixtureRequest
) -> None:
    adapter = CLOUDS[cloud]
    names = [field.name for field in adapter.credential_fields if "url" in field.name]
    assert names
    for name in names:
        adapter.require_encryption({name: "http://cloud.example.com"})
    request.getfixturevalue("required")
    for name in names:
        adapter.require_encryption({name: "https://cloud.example.com"})
        for url in ("http://cloud.example.com", "HTTP://10.0.0.1:5000/v3"):
            with pytest.raises(InvalidCredentials, match="must begin with https://") as caught:
                adapter.require_encryption({name: url})
            assert caught.value.field == name


@pytest.mark.usefixtures("required", "no_network")
def test_a_vcenter_whose_certificate_is_not_verified_is_refused(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    actor, acme = actor_of("account-admin"), scope("acme")
    with pytest.raises(CredentialsError, match="Choose another certificate verif") as caught:
        cloud_credentials.add(actor, acme, vault, "vmware", "vc", VCENTER, checked=False)
    assert caught.value.field == "verification"
    with pytest.raises(InvalidCredentials, match="Choose another certificate verif"):
        CLOUDS["vmware"].check(CredentialValues(VCENTER))
    for changes in ({"verification": "verify"}, {"vcenter_url": "https://127.0.0.1"}):
        CLOUDS["vmware"].require_encryption({**VCENTER, **changes})


@pytest.mark.usefixtures("required")
def test_a_url_that_a_cloud_names_is_called_only_with_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog of an OpenStack cloud may name a URL with http."""
    connected: list[object] = []
    monkeypatch.setattr("webapp.clouds.outgoing.connections.connect", connected.append)
    with requests.Session() as session:
        configure_session(session)
        for proxies in ({}, {"http": "http://127.0.0.1:3128"}):
            with pytest.raises(requests.ConnectionError) as caught:
                session.get("http://glance.example.com/v2/images", proxies=proxies, timeout=5)
            failure = find_connection_failure(caught.value, "OpenStack", "Auth URL")
            assert failure is not None
            assert "would not be encrypted" in failure.problem
    assert connected == []
