"""The rules that give roles to people who sign in at identity providers, with the API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import models
from models import ProviderRule, is_sqlite, transaction
from tests.api.client import ClientFor
from tests.conftest import ActorOf, ScopeAt
from tests.single_sign_on.helpers import make_role_rule
from tests.waiting import wait_until
from webapp.people import members
from webapp.revisions.conflicts import lock

WAITING = """
    SELECT count(*) FROM pg_locks
    WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
"""


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_request_and_a_page_never_wait_for_each_other(
    api_of: ClientFor, actor_of: ActorOf, scope: ScopeAt, method: str
) -> None:
    """A page locks the scope. The request begins. Then the page locks the rule."""
    if is_sqlite():
        pytest.skip("SQLite has one lock for the whole database.")
    api = api_of("account-admin")
    with models.open_connection():
        rule = make_role_rule(actor_of("account-admin"), scope("acme"))
    url = f"/account/acme/role-rules/{rule.id}"
    options = {"json": {"value": "request"}} if method == "PATCH" else {}
    with ThreadPoolExecutor(1) as pool, models.open_connection():
        with transaction():
            members.lock_scope(rule.scope)
            answer = pool.submit(api.open, method, url, **options)
            wait_until(lambda: models.database.execute_sql(WAITING).fetchone()[0])
            lock(rule)
            ProviderRule.update(value="page").where(ProviderRule.id == rule.id).execute()
        assert answer.result().status_code == (200 if method == "PATCH" else 204)
