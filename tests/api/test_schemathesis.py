"""The API under gunicorn answers as its document says, to requests that Schemathesis makes from it.

Every check of Schemathesis is on. SCHEMATHESIS_EXAMPLES and SCHEMATHESIS_SEED in the environment
select more requests and others.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from models import Role
from tests.api.client import ROOT
from tests.cli.registry import Registry, registry

log = logging.getLogger(__name__)
PROGRAM = str(Path(sys.executable).with_name("schemathesis"))
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "1"))
"""The number of random requests to each operation."""
SEED = os.environ.get("SCHEMATHESIS_SEED", "1")
ENVIRONMENTS = {"acme": "production", "globex": "lab"}
RUNS = {
    ("acme", Role.ADMIN): "coverage",
    ("acme", Role.VIEWER): "fuzzing",
    ("globex", Role.ADMIN): "examples,fuzzing,stateful",
    ("globex", Role.VIEWER): "fuzzing",
}
"""The phases of Schemathesis for each account and role, so that the test takes less than a minute.

With more than one example, every account and role has every phase.
"""
ALL_PHASES = "examples,coverage,fuzzing,stateful"
LEVELS = "^/(account|environment|clouds|scopes|openapi|token)"
FUZZED = LEVELS if EXAMPLES > 1 else LEVELS.replace("|environment", "")
"""The operations. Those of environments have the same code as those of accounts."""
ENDS_TOKEN = ("revoke_current_token", "revoke_own_token", "rotate_current_token")
"""The operations after which the token of the test would not work."""
CONFIG = """
[parameters]
"path.account" = "{account}"
"path.environment" = "{environment}"
"path.cloud" = "aws"
"path.import_id" = {import_id}
"path.role_rule_id" = {role_rule_id}
"path.rule_id" = {rule_id}

[checks.not_a_server_error]
# No cloud answers in this test.
expected-statuses = ["2xx", "3xx", "4xx", 503, 504]

[checks.positive_data_acceptance]
# A schema has neither the rules of use cases nor the state of records.
expected-statuses = ["2xx", 304, 400, 401, 403, 404, 409, 410, 412, 422, 503, 504]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 415, 422, 428, "5xx"]

[checks.missing_required_header]
expected-statuses = [400, 401, 403, 404, 406, 415, 422, 428]
"""


def _send(url: str, token: str, body: Mapping[str, object] | None = None) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, headers)) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def served_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder, app = tmp_path_factory.mktemp("registry"), "tests.api.fuzzed_app:create_app()"
    with registry(folder, app=app, API_REQUESTS_PER_MINUTE="1000000") as found:
        yield found


@pytest.fixture(scope="module")
def record_ids(served_api: Registry) -> dict[str, dict[str, int]]:
    """Create records in each account, and return their IDs by the name of the account."""
    return {account: _create_records(served_api, account) for account in ENVIRONMENTS}


def _create_records(found: Registry, account: str) -> dict[str, int]:
    """Create records that random requests do not create."""
    url, token = f"{found.url}{ROOT}/account/{account}", found.token("scalr-admin", account)
    found.add_image(account, number=1 if account == "acme" else 2)
    item = {"cloud": "aws", "location": "us-east-1", "cloud_image_id": f"ami-{7:017x}"}
    body = {"content": json.dumps([item]), "look_up": False, "dry_run": True}
    rule = {
        "name": "images",
        "issuer": "https://idp.example.com",
        "audience": "https://registry.example.com",
        "claims": {"repository": "acme/images"},
        "role": "viewer",
    }
    role_rule = {"provider": "example", "claim": "groups", "value": "ops", "role": "viewer"}
    return {
        "import_id": _send(f"{url}/images/imports", token, body)["id"],
        "role_rule_id": _send(f"{url}/role-rules", token, role_rule)["id"],
        "rule_id": _send(f"{url}/token-rules", token, rule)["id"],
    }


@pytest.mark.parametrize(("account", "role"), RUNS)
def test_answers_agree_with_the_document(
    tmp_path: Path,
    served_api: Registry,
    record_ids: dict[str, dict[str, int]],
    account: str,
    role: Role,
) -> None:
    url, config = f"{served_api.url}{ROOT}", tmp_path / "schemathesis.toml"
    names = {"account": account, "environment": ENVIRONMENTS[account]}
    config.write_text(CONFIG.format(**names, **record_ids[account]))
    phases = ALL_PHASES if EXAMPLES > 1 else RUNS[account, role]
    # Nobody in the account can remove the person of this token.
    token = served_api.token("scalr-admin", account, role)
    command = [PROGRAM, f"--config-file={config}", "run", f"{url}/openapi.json", "--checks=all"]
    command += ["--header", f"Authorization: Bearer {token}", f"--seed={SEED}", "--no-color"]
    command += [f"--max-examples={EXAMPLES}", f"--phases={phases}"]
    command += [f"--include-path-regex={FUZZED}", "--continue-on-failure"]
    command += [f"--exclude-operation-id={name}" for name in ENDS_TOKEN]
    result = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"[-30_000:]
    generated = re.search(r"(\d+) generated, \1 passed", result.stdout)
    assert generated is not None, result.stdout
    log.info("%s %s: %s", account, role, generated[0])
    assert _send(f"{url}/tokens/current", token)["role"] == role
