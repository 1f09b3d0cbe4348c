"""The session in docs/cli.md is true: the test runs its commands and compares their output."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from sandbox import aws, tls
from tests.cli.proxies import HOST, behind_tls_and_proxy
from tests.cli.registry import Command, registry

CHAPTER = Path(__file__).parents[2] / "docs" / "cli.md"
PROMPT = "$ "


def recorded_session() -> str:
    blocks = re.findall(r"^```console\n(.*?)^```$", CHAPTER.read_text(), re.MULTILINE | re.DOTALL)
    return "".join(blocks)


def without_times(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?", "TIME", text)


def script_of(session: str) -> str:
    """Return a script that prints and runs each command of the session."""
    commands = [line[2:] for line in session.splitlines() if line.startswith(PROMPT)]
    lines = (
        f"code=$?; printf '%s\\n' {shlex.quote(PROMPT + command)}; (exit $code); {command}"
        for command in commands
    )
    return "\n".join(("exec 2>&1", *lines))


def test_the_session_in_the_documentation_is_true(package: Path, tmp_path: Path) -> None:
    session = recorded_session()
    assert session.count(PROMPT) > 8
    ca_file = tmp_path / "authority.pem"
    ca_file.write_text(tls.authority().pem)
    with (
        aws.start() as endpoint,
        registry(tmp_path, endpoint, PUBLIC_URL=f"https://{HOST}") as found,
        behind_tls_and_proxy(found.url) as (proxy, _),
    ):
        (tmp_path / "token").write_text(found.token("account-editor"))
        command = Command(package, tmp_path, {"HTTPS_PROXY": proxy, "SSL_CERT_FILE": str(ca_file)})
        environ = command.full_environ()
        environ["PATH"] = f"{package / 'bin'}:{environ['PATH']}"
        done = subprocess.run(
            ["/bin/bash", "-c", script_of(session)],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert without_times(done.stdout) == without_times(session)
