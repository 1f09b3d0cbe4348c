"""Logins, tokens, proxies, private certificate authorities, exit codes and repeated requests."""

from __future__ import annotations

import json
import os
import pty
import select
import socket
import stat
import subprocess
from pathlib import Path

import pytest

import webapp
from images_cli import __version__
from sandbox import aws, tls
from tests.cli.proxies import behind_tls_and_proxy, read_request, serve, unreliable
from tests.cli.registry import Command, Registry

NOBLE = aws.NOBLE.id_in("us-east-1")
REGISTER = ("register", "aws", NOBLE, "--location", "us-east-1")
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"


@pytest.fixture
def token(images: Command) -> str:
    return images.environ["IMAGES_TOKEN"]


@pytest.fixture
def stranger(images: Command) -> Command:
    """Return the command without any settings."""
    return Command(images.folder, images.home, {})


def login_file(command: Command) -> Path:
    return command.home / ".config" / "images" / "login.json"


def test_a_login_is_stored_for_the_user_alone(
    stranger: Command, catalog: Registry, token: str
) -> None:
    arguments = ("login", f"{catalog.url}/", "--scope", "/account/acme", "--token-file", "-")
    assert stranger.run(*arguments, sent=f"{token}\n").code == 0
    path = login_file(stranger)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    image_id = catalog.add_image()
    assert stranger.succeed("list", "-q") == f"{image_id}\n"
    assert stranger.run("list", "--scope", "globex").code == 5
    path.chmod(0o640)
    refused = stranger.run("list")
    assert (refused.code, "chmod 600" in refused.errors) == (3, True)
    path.chmod(0o600)
    assert stranger.run("logout").code == 0
    assert not path.exists()
    assert stranger.run("list").code == 3


def test_the_token_can_be_typed_and_is_not_shown(
    stranger: Command, catalog: Registry, token: str
) -> None:
    primary, secondary = pty.openpty()
    with subprocess.Popen(
        [str(stranger.path), "login", catalog.url, "--scope", "acme"],
        env=stranger.full_environ(),
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        start_new_session=True,
    ) as process:
        os.close(secondary)
        shown = os.read(primary, 1000)
        os.write(primary, f"{token}\n".encode())
        while select.select([primary], [], [], 30)[0]:
            try:
                shown += os.read(primary, 1000)
            except OSError:  # Linux reports the end in this way.
                break
        assert process.wait(30) == 0
    os.close(primary)
    assert b"Token:" in shown
    assert token.encode() not in shown


def test_tokens_come_from_a_file_or_the_environment(
    images: Command, catalog: Registry, token: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    assert images.run("list", "--token-file", file, IMAGES_TOKEN="imr_wrong").code == 0
    assert images.run("list", IMAGES_TOKEN="", IMAGES_TOKEN_FILE=str(file)).code == 0
    wrong = images.run("list", IMAGES_TOKEN="imr_wrong")
    assert (wrong.code, "imr_wrong" in wrong.errors) == (3, False)
    assert images.run("list", IMAGES_TOKEN="a\nb").code == 3
    assert images.run("list", "--token-file", tmp_path / "missing").code == 2
    assert images.run("login", catalog.url, "--scope", "acme", IMAGES_TOKEN="imr_wrong").code == 3
    assert not login_file(images).exists()


def test_a_stored_token_is_only_for_its_registry(stranger: Command, images: Command) -> None:
    images.succeed("login", images.environ["IMAGES_URL"], "--scope", "acme")
    result = stranger.run("list", "--url", "http://127.0.0.1:9", "--scope", "acme")
    assert result.code == 3
    assert "There is no token" in result.errors


@pytest.mark.parametrize(
    "url",
    [
        "http://registry.example.com",
        "ftp://a",
        "registry",
        "https://",
        "https://[",
        "https://registry.example.com:port",
        "https://registry.example.com/#top",
    ],
)
def test_other_urls_are_refused(images: Command, url: str) -> None:
    assert images.run("list", IMAGES_URL=url).code == 2


def test_without_the_package_keyring_nothing_is_stored(images: Command, catalog: Registry) -> None:
    result = images.run("login", catalog.url, "--scope", "acme", "--keyring")
    assert (result.code, "image-registry-cli[keyring]" in result.errors) == (2, True)
    assert not login_file(images).exists()


def test_a_login_that_fails_keeps_the_stored_login(
    images: Command, stranger: Command, catalog: Registry
) -> None:
    images.succeed("login", catalog.url, "--scope", "acme")
    assert images.run("login", catalog.url, "--scope", "acme", "--keyring").code == 2
    assert stranger.run("list").code == 0


def test_the_keyring_stores_the_token(images: Command, stranger: Command, token: str) -> None:
    """The keyring of this test is a module with the functions of the package keyring."""
    modules = images.home / "modules"
    (modules / "keyring").mkdir(parents=True)
    (modules / "keyring" / "errors.py").write_text("class KeyringError(Exception): ...\n")
    (modules / "keyring" / "__init__.py").write_text(
        "from pathlib import Path\n"
        "file = Path(__file__).with_name('stored')\n"
        "def set_password(service, name, password): file.write_text(password)\n"
        "def get_password(service, name): return file.read_text() if file.exists() else None\n"
        "def delete_password(service, name): file.unlink()\n"
    )
    path = {"PYTHONPATH": f"{images.folder}:{modules}"}
    url = images.environ["IMAGES_URL"]
    images.succeed("login", url, "--scope", "acme", "--keyring", **path)
    assert token not in login_file(images).read_text()
    assert stranger.run("list", **path).code == 0
    images.succeed("login", url, "--scope", "acme", **path)
    assert not (modules / "keyring" / "stored").exists(), "the file has the token instead"
    images.succeed("login", url, "--scope", "acme", "--keyring", **path)
    images.succeed("login", url, "--scope", "acme", "--keyring", **path)
    assert stranger.run("list", **path).code == 0
    stranger.succeed("logout", **path)
    assert not (modules / "keyring" / "stored").exists()


def test_exit_codes(images: Command, catalog: Registry) -> None:
    image_id = catalog.add_image()
    viewer = {"IMAGES_TOKEN": catalog.token("account-viewer")}
    forbidden = images.run("edit", image_id, "--name", "other", **viewer)
    assert forbidden.code == 4
    assert "The token needs the role Editor at Account acme" in forbidden.errors
    assert images.run("show", image_id + 1).code == 5
    missing = images.run("lookup", "aws", "ami-00000000000000abc", "--location", "us-east-1")
    assert missing.code == 8
    assert images.run("lookup", "awz", "x").code == 6
    assert images.run("nothing").code == 2
    assert images.run("list", "--scope", "a/b/c").code == 2


def test_the_version_is_the_version_of_the_registry(images: Command) -> None:
    assert images.succeed("--version") == f"images {webapp.__version__}\n"
    assert __version__ == webapp.__version__


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_each_shell(images: Command, shell: str) -> None:
    assert "_IMAGES_COMPLETE" in images.succeed("completion", shell)


def test_commands_and_options_are_completed(images: Command) -> None:
    def completed(words: str) -> set[str]:
        position = str(len(words.split(" ")) - 1)
        environ = {"COMP_WORDS": words, "COMP_CWORD": position}
        text = images.succeed(_IMAGES_COMPLETE="bash_complete", **environ)
        return {line.partition(",")[2] for line in text.splitlines()}

    assert completed("images re") == {"register", "restore", "retire"}
    assert completed("images register --if-exists ") == {"fail", "return"}


@pytest.mark.parametrize("answer", [b"", BUSY])
def test_a_repeated_registration_creates_one_image(
    images: Command, catalog: Registry, answer: bytes
) -> None:
    with unreliable(catalog.url, method=b"POST", losses=2, answer=answer) as url:
        result = images.run(*REGISTER, "-q", IMAGES_URL=url)
    assert result.code == 0, result.errors
    assert result.errors.count("Trying again in 1 second") == (2 if answer else 1)
    assert catalog.image_count() == 1
    assert catalog.image(int(result.output)).revision == 1


def test_a_change_is_not_repeated_if_it_may_have_been_saved(
    images: Command, catalog: Registry
) -> None:
    image_id = catalog.add_image()
    with unreliable(catalog.url, method=b"PATCH", losses=1) as url:
        result = images.run("edit", image_id, "--name", "other", IMAGES_URL=url)
    assert result.code == 9
    assert "The change may have been saved" in result.errors
    assert catalog.image(image_id).name == "other"


def test_a_long_wait_is_an_error(images: Command) -> None:
    busy = BUSY.replace(b"Retry-After: 1", b"Retry-After: 3600")

    def handle(connection: socket.socket) -> None:
        with connection:
            read_request(connection)
            connection.sendall(busy)

    with serve(handle) as port:
        result = images.run("list", IMAGES_URL=f"http://127.0.0.1:{port}")
    assert (result.code, "Trying again" in result.errors) == (9, False)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"302 Found\r\nLocation: http://127.0.0.1:9/", "redirects to http://127.0.0.1:9/"),
        (b"200 OK\r\nContent-Type: text/html", "isn’t from an image registry"),
    ],
)
def test_a_redirect_or_a_page_is_an_error(images: Command, answer: bytes, message: str) -> None:
    """The token does not follow a redirect."""

    def handle(connection: socket.socket) -> None:
        with connection:
            read_request(connection)
            connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n<>" % answer)

    with serve(handle) as port:
        result = images.run("list", IMAGES_URL=f"http://127.0.0.1:{port}")
    assert result.code == 1
    assert message in result.errors


def test_a_proxy_and_a_private_certificate_authority(
    images: Command, catalog: Registry, token: str, tmp_path: Path
) -> None:
    image_id = catalog.add_image()
    ca_file = tmp_path / "authority.pem"
    ca_file.write_text(tls.authority().pem)
    with behind_tls_and_proxy(catalog.url) as (proxy, heads):
        environ = {"HTTPS_PROXY": proxy, "IMAGES_URL": "https://registry.example.com"}
        untrusted = images.run("list", **environ)
        assert (untrusted.code, "--ca-file" in untrusted.errors) == (9, True)
        arguments = ("list", "-o", "json", "--ca-file", ca_file)
        (image,) = json.loads(images.succeed(*arguments, **environ))
    assert image["id"] == image_id
    assert heads[-1].startswith(b"CONNECT registry.example.com:443 ")
    assert token.encode() not in b"".join(heads)
