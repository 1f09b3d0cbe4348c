"""The file that OIDC_PROVIDERS_FILE names."""

from __future__ import annotations

from pathlib import Path

import pytest

import webapp
from models import Role
from tests.environ import ENVIRON
from tests.served import ROOT
from webapp.settings import SettingsError
from webapp.single_sign_on.configuration import (
    PROVIDER_KEYS,
    ROLE_KEYS,
    Configuration,
    RoleRule,
    SecondFactor,
    read_configuration,
)

PLAIN = """
[providers.example]
label = "Example SSO"
issuer = "https://login.example.com"
client_id = "image-registry"
"""
RULE = """
[[providers.example.roles]]
claim = "groups"
value = "a"
scope = "/account/acme"
role = "editor"
"""
SECRET = "canary-in-the-file"


def read(folder: Path, text: str, **environ: str) -> Configuration:
    file = folder / "providers.toml"
    file.write_text(text)
    return read_configuration(file, environ)


def test_without_a_file_there_is_no_provider() -> None:
    assert read_configuration(None, {}) == Configuration()


def test_every_value_of_a_provider(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "ca.pem").write_text("")
    text = f"""
        contact = "the platform team"
        {PLAIN}
        client_secret_file = "{tmp_path}/secret"
        scopes = ["openid", "groups"]
        client_authentication = "client_secret_post"
        ca_file = "{tmp_path}/ca.pem"
        second_factor = {{ amr = ["mfa"], acr = ["gold"] }}
        [providers.b-2]
        label = "B"
        issuer = "http://localhost:8080/realm/"
        client_id = "b"
        client_secret_env = "SECRET_OF_B"
    """
    configuration = read(tmp_path, text, SECRET_OF_B=SECRET)
    assert configuration.contact == "the platform team"
    first, second = configuration.providers.values()
    assert (first.key, first.label, first.client_secret) == ("example", "Example SSO", SECRET)
    assert first.scopes == ("openid", "groups")
    assert first.client_authentication == "client_secret_post"
    assert first.ca_file == f"{tmp_path}/ca.pem"
    assert first.second_factor == SecondFactor(frozenset({"mfa"}), frozenset({"gold"}))
    assert (second.client_secret, second.scopes) == (SECRET, ("openid", "profile", "email"))
    assert configuration.secret_files == (tmp_path / "secret",)
    assert SECRET not in repr(configuration)


def test_the_rules_of_a_provider(tmp_path: Path) -> None:
    others = [RULE.replace("/account/acme", each) for each in ("/scalr", "/environment/acme/b")]
    rules = read(tmp_path, PLAIN + RULE + "".join(others)).providers["example"].roles
    assert rules[0] == RoleRule("groups", "a", "acme", Role.EDITOR)
    assert [rule.scope for rule in rules] == ["acme", "", "acme/b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PLAIN + "roles = 1", "must be a list of at most 200 rules"),
        (PLAIN + "roles = [1]", "rule 1: this must be a section"),
        (PLAIN + RULE.replace("/account/acme", "acme"), "scope must be /scalr"),
        (PLAIN + RULE.replace("/account/acme", "/account/a/b"), "scope must be /scalr"),
        (PLAIN + RULE.replace("editor", "owner"), "role must be viewer, editor, admin"),
        (PLAIN + RULE.replace('value = "a"', ""), "rule 1: value is missing"),
        (PLAIN + RULE + "other = 1", "other is not a setting"),
        ("[", "is not valid TOML"),
        ("", "must have 1 to 20 sections"),
        ("providers = 1", "must have 1 to 20 sections"),
        ("contact = 7" + PLAIN, "has an error at the top: contact must be a text"),
        ("other = 7" + PLAIN, "other is not a setting"),
        (PLAIN + "other = 7", r"in \[providers.example\]: other is not a setting"),
        (PLAIN.replace("example]", "Example]"), "has 1 to 32 lower-case letters"),
        (PLAIN.replace('label = "Example SSO"', ""), "label is missing"),
        (PLAIN.replace("Example SSO", ""), "label must be a text of 1 to 64"),
        (PLAIN.replace("Example SSO", r"a\nb"), "label must be a text"),
        (PLAIN.replace("https:", "http:"), "issuer must be a URL"),
        (PLAIN.replace("https://login.example.com", "https://a@b.example"), "issuer must be a URL"),
        (PLAIN.replace("example.com", "example.com?a"), "issuer must be a URL"),
        (PLAIN + 'scopes = ["profile"]', "one of which is openid"),
        (PLAIN + 'scopes = ["openid", "a b"]', "one of which is openid"),
        (PLAIN + 'scopes = "openid"', "scopes must be a list"),
        (PLAIN + 'client_authentication = "none"', "client_secret_basic or client_secret_post"),
        (PLAIN + 'ca_file = "/nowhere"', "ca_file does not exist"),
        (PLAIN + 'client_secret_file = "/nowhere"', "client_secret_file cannot be read"),
        (PLAIN + 'client_secret_file = "/dev/null"', "is empty"),
        (PLAIN + 'client_secret_env = "NOWHERE"', "NOWHERE is not set"),
        (PLAIN + 'client_secret_env = "A"\nclient_secret_file = "/x"', "not both"),
        (PLAIN + f'client_secret = "{SECRET}"', "client_secret is not a setting"),
        (PLAIN + "second_factor = 1", "must be a table"),
        (PLAIN + 'second_factor = { amr = "mfa" }', "amr must be a list"),
        (PLAIN + 'second_factor = { other = ["mfa"] }', "other is not a setting"),
        (PLAIN + PLAIN.replace("example]", "b]").replace("SSO", "2"), "with the same issuer"),
        (PLAIN + PLAIN.replace("example]", "b]").replace("com", "net"), "with the same label"),
    ],
)
def test_a_wrong_file_is_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        read(tmp_path, text)
    assert caught.value.message.startswith("The file named by OIDC_PROVIDERS_FILE ")
    assert SECRET not in caught.value.message


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff" + SECRET.encode())
    for name, words in (("missing", "cannot be read"), ("binary", "not UTF-8 text")):
        with pytest.raises(SettingsError, match=words) as caught:
            read_configuration(tmp_path / name, {})
        assert SECRET not in caught.value.message


def test_a_wrong_file_stops_the_start() -> None:
    environ = {"PUBLIC_URL": "http://localhost", "OIDC_PROVIDERS_FILE": "/nowhere"}
    with pytest.raises(SettingsError, match="OIDC_PROVIDERS_FILE cannot be read"):
        webapp.create_app({**ENVIRON, **environ})


def test_every_key_is_described() -> None:
    text = (ROOT / "docs" / "single-sign-on.md").read_text()
    assert not [key for key in PROVIDER_KEYS | ROLE_KEYS if f"| `{key}` |" not in text]
