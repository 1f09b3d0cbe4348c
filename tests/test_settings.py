"""A setting that is missing or wrong stops the start with a message that says what to do."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environ import ENVIRON
from tests.served import ROOT
from webapp import settings
from webapp.database import open_database
from webapp.settings import SettingsError


def test_unset_settings_have_defaults() -> None:
    defaults = settings.read_settings(ENVIRON)
    assert defaults.database_url.startswith("sqlite:///")
    assert defaults.database_url.endswith("/data/registry.db")
    assert not defaults.demonstration
    assert settings.read_settings({**ENVIRON, "SECURE_COOKIES": ""}).secure_cookies


WRONG_SMTP_URLS = (
    "mail.example.com",
    "http://mail.example.com:25",
    "smtps://user@mail.example.com",
    "smtps://user:pass#word@mail.example.com",
    "smtps://user:pässword@mail.example.com",
    "smtps://mail.example.com:65536",
    "smtps://mail.example.com/path",
    "smtps://mail.example.com?timeout=1",
    "smtps://",
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is missing"),
        ({"SECRET_KEY": "changeme"}, "too easy to guess"),
        ({"SECRET_KEY": "a" * 40}, "too easy to guess"),
        ({"CREDENTIALS_KEYS": ""}, "CREDENTIALS_KEYS is missing"),
        ({"CREDENTIALS_KEYS": "not-a-key"}, "Key 1 in CREDENTIALS_KEYS"),
        ({"DEMONSTRATION": "perhaps"}, "DEMONSTRATION must be true or false"),
        ({"TRUSTED_PROXIES": "many"}, "TRUSTED_PROXIES must be a whole number"),
        ({"OIDC_PROVIDERS_FILE": "/x", "PUBLIC_URL": ""}, "OIDC_PROVIDERS_FILE needs PUBLIC_URL"),
        ({"LOCAL_ACCOUNTS": "false"}, "LOCAL_ACCOUNTS=false needs OIDC_PROVIDERS_FILE"),
        ({"EMERGENCY_ADMIN": "admin"}, "EMERGENCY_ADMIN must be an e-mail address"),
        ({"EMERGENCY_ADMIN": "A <a@example.com>"}, "EMERGENCY_ADMIN must be an e-mail address"),
        ({"URL_PREFIX": "registry"}, "URL_PREFIX must be a path"),
        ({"URL_PREFIX": "//evil.example"}, "URL_PREFIX must be a path"),
        ({"TRUST_FORWARDED_PREFIX": "true"}, "TRUST_FORWARDED_PREFIX needs TRUSTED_PROXIES"),
        ({"PUBLIC_URL": "registry.example.com"}, "PUBLIC_URL must be a URL"),
        ({"PUBLIC_URL": "ftp://registry.example.com"}, "PUBLIC_URL must be a URL"),
        ({"PUBLIC_URL": "https://me@registry.example.com"}, "PUBLIC_URL must be a URL"),
        ({"PUBLIC_URL": "https://*.example.com"}, "PUBLIC_URL must be a URL"),
        ({"PUBLIC_URL": "https://registry.example.com:65536"}, "PUBLIC_URL must be a URL"),
        ({"PUBLIC_URL": "https://registry.example.com?a=b"}, "PUBLIC_URL must be a URL"),
        ({"PUBLIC_URL": "https://registry.example.com/a"}, "path of PUBLIC_URL must be"),
        ({"TRUSTED_HOSTS": "registry.example.com:443"}, "TRUSTED_HOSTS must be a list"),
        ({"TRUSTED_HOSTS": "https://registry.example.com"}, "TRUSTED_HOSTS must be a list"),
        ({"TRUSTED_HOSTS": "*"}, "TRUSTED_HOSTS must be a list"),
        ({"TRUSTED_HOSTS": ","}, "'' is not a host name"),
        *(({"SMTP_URL": url}, "SMTP_URL must be a URL") for url in WRONG_SMTP_URLS),
        ({"SMTP_URL": "smtp://u:p@h"}, "SMTP_URL must not contain a password"),
        ({"SMTP_URL": "smtps://u:p@h"}, "SMTP_URL needs MAIL_FROM"),
        ({"SMTP_URL": "smtps://u:p@h", "MAIL_FROM": "a@b"}, "SMTP_URL needs PUBLIC_URL"),
        ({"MAIL_FROM": "registry"}, "MAIL_FROM must be an e-mail address"),
        ({"MAIL_FROM": "Registry <a@b"}, "MAIL_FROM must be an e-mail address"),
        ({"MAIL_FROM": "Registry\n <a@b>"}, "MAIL_FROM must be an e-mail address"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be one of"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT must be one of text, json"),
        ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN must have at least 16"),
        ({"METRICS_TOKEN": "two words of a token"}, "METRICS_TOKEN must have"),
        ({"METRICS_TOKEN": "a" * 32}, "METRICS_TOKEN must have"),
        ({"METRICS_BIND": "9464"}, "METRICS_BIND must be an address and a port"),
        ({"METRICS_BIND": "localhost:0"}, "METRICS_BIND must be"),
        ({"METRICS_BIND": "localhost:65536"}, "METRICS_BIND must be"),
        ({"METRICS_BIND": "localhost:port"}, "METRICS_BIND must be"),
        ({"ALLOWED_ENDPOINTS": "default,10.0.0.0/33"}, "'10.0.0.0/33' is neither"),
        ({"ALLOWED_ENDPOINTS": "10.0.0.300"}, "'10.0.0.300' is neither"),
        ({"ALLOWED_ENDPOINTS": "10.0.0.1/8"}, "'10.0.0.1/8' is neither"),
        ({"ALLOWED_ENDPOINTS": "a.*.example.com"}, "is neither"),
        ({"ALLOWED_ENDPOINTS": "https://example.com"}, "is neither"),
        ({"ALLOWED_ENDPOINTS": "*"}, "is neither"),
        ({"ALLOWED_ENDPOINTS": ","}, "'' is neither"),
        ({"ALLOWED_ENDPOINTS": "*.1.2.3"}, "is neither"),
        ({"ALLOWED_ENDPOINTS": "0x7f000001"}, "is neither"),
        ({"ALLOWED_ENDPOINTS": "fe80::1%eth0"}, "is neither"),
        ({"THREADS": "many"}, "THREADS must be a whole number"),
        ({"THREADS": "0"}, "THREADS must be a whole number from 1 to 1000"),
        ({"THREADS": "1000000"}, "THREADS must be a whole number from 1 to 1000"),
        ({"THREADS": "9" * 5000}, "THREADS must be a whole number"),
        ({"THREADS": "١٦"}, "THREADS must be a whole number"),
        ({"JOB_THREADS": "3"}, "JOB_THREADS must be a whole number from 4 to 256"),
        ({"TRUSTED_PROXIES": "1" * 23}, "TRUSTED_PROXIES must be a whole number from 0 to 100"),
        ({"METRICS_BIND": "[::1:9464"}, "METRICS_BIND must be"),
        ({"METRICS_BIND": "::1]:9464"}, "METRICS_BIND must be"),
        ({"METRICS_BIND": "localhost:" + "9" * 5000}, "METRICS_BIND must be"),
        ({"SECRET_KEY_FILE": "/etc/hostname"}, "Both SECRET_KEY and SECRET_KEY_FILE"),
        ({"REDIS_URL_FILE": "/nowhere/at/all"}, "REDIS_URL_FILE cannot be read"),
    ],
)
def test_invalid_settings_are_refused(changes: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings.read_settings({**ENVIRON, **changes})


def test_the_mail_server_and_the_sender_are_read() -> None:
    environ = {**ENVIRON, "PUBLIC_URL": "https://registry.example.com"}
    mail = {"MAIL_FROM": "Image Registry <registry@example.com>"}
    url = "smtp+starttls://user%40x:p%2Fw@mail.example.com"
    smtp = settings.read_settings({**environ, **mail, "SMTP_URL": url}).smtp
    assert smtp is not None
    assert (smtp.scheme, smtp.host, smtp.port) == ("smtp+starttls", "mail.example.com", 587)
    assert (smtp.user, smtp.password) == ("user@x", "p/w")
    assert (smtp.sender_name, smtp.sender) == ("Image Registry", "registry@example.com")
    assert "p/w" not in repr(smtp)
    plain = {"SMTP_URL": "smtp://[::1]:2525", "MAIL_FROM": "registry@localhost"}
    smtp = settings.read_settings({**environ, **plain}).smtp
    assert smtp is not None
    assert (smtp.host, smtp.port, smtp.sender) == ("::1", 2525, "registry@localhost")


def test_the_host_of_the_public_url_is_trusted() -> None:
    assert settings.read_settings(ENVIRON).trusted_hosts == ()
    changes = {"URL_PREFIX": "/a", "TRUSTED_HOSTS": "*.Example.net, 192.0.2.7"}
    for url in ("https://Registry.example.com:8443/a/", "https://registry.example.com:8443"):
        found = settings.read_settings({**ENVIRON, **changes, "PUBLIC_URL": url})
        assert found.public_url == "https://registry.example.com:8443"
        assert found.trusted_hosts == ("registry.example.com", "*.example.net", "192.0.2.7")


def test_only_the_demonstration_connects_to_loopback_addresses_by_default() -> None:
    environ = {**ENVIRON, "ALLOWED_ENDPOINTS": ""}
    assert settings.read_settings(environ).allowed_endpoints == ()
    demonstration = settings.read_settings({**environ, "DEMONSTRATION": "true"})
    assert "127.0.0.0/8" in demonstration.allowed_endpoints
    changed = {**environ, "DEMONSTRATION": "true", "ALLOWED_ENDPOINTS": " *.Example.com, ::1/128 "}
    assert settings.read_settings(changed).allowed_endpoints == ("*.Example.com", "::1/128")


@pytest.mark.parametrize("name", ["p%41", "q?x#y%41", "a b", "ü[", "r%2541g"])
def test_data_dir_may_contain_any_characters(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    url = settings.read_settings({**ENVIRON, "DATABASE_URL": "", "DATA_DIR": str(folder)})
    assert open_database(url.database_url).database == str(folder / "registry.db")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", settings.SECRETS)
def test_a_file_that_is_not_utf_8_gets_one_sentence(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xff\xfesecret")
    with pytest.raises(SettingsError, match=f"{name}_FILE is not UTF-8 text"):
        settings.read_settings({**ENVIRON, name: "", f"{name}_FILE": str(file)})


@pytest.mark.parametrize("value", ["abc", "1e3", " ", "0", "1001", "9" * 5000])
def test_gunicorn_refuses_a_wrong_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("THREADS", value)
    with pytest.raises(SystemExit, match="THREADS must be a whole number from 1 to 1000"):
        runpy.run_path(str(ROOT / "gunicorn.conf.py"))


@pytest.mark.parametrize("name", ["DATABASE_URL", "DIRECT_DATABASE_URL", "REDIS_URL"])
@pytest.mark.parametrize("text", ["a://h/x\ny", "a://h/x\r\ny", "a://h/x\0y", "a://h/x\u2028y"])
def test_a_url_has_one_line(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / "url"
    for changes in ({name: text}, {f"{name}_FILE": str(file)}):
        file.write_bytes(f"{text}\n".encode())
        with pytest.raises(SettingsError, match=f"^{name} contains a line break"):
            settings.read_settings({**ENVIRON, **changes})
    file.write_bytes(b"a://h/x\r\n")
    read = settings.read_settings({**ENVIRON, f"{name}_FILE": str(file)})
    assert getattr(read, name.lower()) == "a://h/x"


def test_secrets_can_be_read_from_files(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("0123456789abcdef0123456789abcdef\n")
    environ = {**ENVIRON, "SECRET_KEY": "", "SECRET_KEY_FILE": str(file)}
    assert settings.read_settings(environ).secret_key == "0123456789abcdef0123456789abcdef"


def test_settings_do_not_print_their_secrets() -> None:
    assert ENVIRON["SECRET_KEY"] not in repr(settings.read_settings(ENVIRON))


def test_a_command_reports_a_missing_setting_without_a_traceback() -> None:
    environ = {name: value for name, value in os.environ.items() if "SECRET_KEY" not in name}
    command = [sys.executable, "-m", "flask", "--app", "webapp", "migrate"]
    done = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: SECRET_KEY is missing.")
    assert "Traceback" not in done.stderr


def test_a_secret_that_is_not_utf_8_gets_one_sentence() -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY is not UTF-8 text"):
        settings.read_settings({**ENVIRON, "SECRET_KEY": "\udcff" * 40})
