"""How the AWS adapter uses its SDK: which keys it sends, what it caches, and how long it takes."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox import aws, faulty
from tests.clouds.aws import answers
from tests.clouds.aws.peer import aws_credentials
from tests.clouds.helpers import assert_cached_call_is_fast, run_python
from webapp.clouds.aws.adapter import Aws
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.locators import Locator

ROOT = Path(__file__).parents[3]
HOME = "us-east-1"


def locator_of(known: aws.SandboxImage, region: str = HOME) -> Locator:
    return Locator(region, known.id_in(region))


def test_a_role_is_assumed_once(adapter: Aws, sandbox_aws: str) -> None:
    actions = []
    forward = faulty.forwarding(sandbox_aws)

    def behave(request: faulty.Request) -> faulty.Answer | None:
        actions.append(request.form["Action"])
        return forward(request)

    with faulty.serve(behave) as url:
        role = f"arn:aws:iam::{aws.ACCOUNT}:role/images"
        credentials = aws_credentials(url, role_arn=role)
        adapter.describe(credentials, locator_of(aws.NOBLE))
        adapter.describe(credentials, locator_of(aws.NOBLE, "eu-west-1"))
        assert actions == ["AssumeRole", "DescribeImages", "DescribeImages"]
        adapter.check(credentials)
        assert actions[3:] == ["AssumeRole", "GetCallerIdentity"]


def test_the_environment_of_the_server_is_ignored(sandbox_aws: str, tmp_path: Path) -> None:
    """A profile, keys and an endpoint in the environment have no effect."""
    (tmp_path / "config").write_text(
        "[default]\naws_access_key_id = AKIASERVER\naws_secret_access_key = server\n"
        "endpoint_url = http://127.0.0.1:1\nregion = eu-west-1\n"
    )
    environ = {
        **os.environ,
        "AWS_PROFILE": "missing",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "config"),
        "AWS_ACCESS_KEY_ID": "AKIASERVER",
        "AWS_SECRET_ACCESS_KEY": "server",
        "AWS_SESSION_TOKEN": "server",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:1",
    }
    code = (
        "import json, sys\n"
        "from webapp.clouds import CLOUDS\n"
        "from webapp.clouds.credentials import CredentialValues\n"
        "from webapp.clouds.locators import Locator\n"
        "from webapp.clouds.outgoing import endpoints\n"
        "endpoints.configure(['127.0.0.0/8'])\n"
        "values, locator = json.loads(sys.argv[1])\n"
        "print(CLOUDS['aws'].describe(CredentialValues(values), Locator(*locator)).name)\n"
    )
    seen: list[dict[str, str]] = []
    forward = faulty.forwarding(sandbox_aws)

    def behave(request: faulty.Request) -> faulty.Answer | None:
        seen.append(request.headers)
        return forward(request)

    with faulty.serve(behave) as url:
        locator = locator_of(aws.NOBLE)
        argument = json.dumps([dict(aws_credentials(url)), [locator.location, locator.image_id]])
        output = run_python(code, argument, environ=environ)
    assert output == aws.NOBLE.name
    assert len(seen) == 1
    assert "AKIAIOSFODNN7EXAMPLE" in seen[0]["Authorization"]
    assert "X-Amz-Security-Token" not in seen[0]


def test_importing_the_adapter_loads_no_sdk() -> None:
    code = (
        "import sys; from webapp.clouds import CLOUDS; "
        "CLOUDS['aws'].parse_image_id('ami-12345678'); "
        "print([each for each in ('boto3', 'botocore') if each in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_concurrent_calls_from_a_cold_start(good: CredentialValues) -> None:
    """Clients are created one at a time and shared only for the same credentials and region."""
    fresh = Aws()
    barrier = threading.Barrier(16)

    def look_up(number: int) -> str:
        barrier.wait()
        known, region = (aws.NOBLE, HOME) if number % 2 else (aws.DEBIAN_13, "eu-west-1")
        return fresh.describe(good, locator_of(known, region)).name

    with ThreadPoolExecutor(16) as pool:
        names = list(pool.map(look_up, range(16)))
    assert names == [aws.DEBIAN_13.name, aws.NOBLE.name] * 8


def test_a_warm_look_up_adds_little_time_to_the_answer(adapter: Aws) -> None:
    image = {"ImageId": "ami-12345678", "State": "available", "Public": True}
    with faulty.serve(answers.images(image)) as url:
        credentials = aws_credentials(url)
        locator = Locator(HOME, "ami-12345678")
        assert_cached_call_is_fast(lambda: adapter.describe(credentials, locator))
