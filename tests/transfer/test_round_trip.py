"""An export that is imported elsewhere gives the same images."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from models import AuditEntry, Image, Job, JobRow, today
from tests.conftest import ActorOf, ScopeAt, choices, details
from tests.transfer.conftest import UNVERIFIED, ami_id, make_plan
from tests.transfer.test_plan_is_outcome import records
from webapp.clouds.locators import Locator
from webapp.credentials.vault import Vault
from webapp.images import life_cycle, registration
from webapp.images.life_cycle import LifeCyclePlan
from webapp.search import catalogue
from webapp.search.query import OWNED_OR_INHERITED
from webapp.transfer import export, import_formats, imports
from webapp.transfer.import_plan import Effect

any_text = st.text(
    st.characters(exclude_categories=["C"]) | st.sampled_from("=+-@;,\"' "), min_size=2, max_size=40
).filter(lambda text: len(text.strip()) > 1 and text.strip().isprintable())
any_name = any_text.map(str.strip)
any_day = st.sampled_from([today() + timedelta(days=days) for days in (-400, 0, 400)])
any_plan = st.builds(
    lambda deprecated, reason: LifeCyclePlan(deprecated, None, reason),
    any_day,
    any_name | st.just(""),
) | st.builds(lambda day, reason: LifeCyclePlan(None, day, reason), any_day, any_name)
any_tags = st.lists(
    any_text.map(lambda text: text.replace(",", "").replace("=", "")).filter(str.strip),
    max_size=4,
)
any_images = st.lists(
    st.tuples(
        any_name,
        st.sampled_from([("ubuntu", "24.04"), ("windows-server", "2022"), ("Haiku OS", "=1;-2")]),
        st.none() | st.integers(1, 2**31 - 1),
        st.booleans(),
        any_text.map(str.strip) | st.just(""),
        st.just(LifeCyclePlan()) | any_plan,
        st.booleans(),
        any_tags | st.just(["Team=Web", "a;=2"]),
    ),
    min_size=1,
    max_size=6,
)
"""The values of some images.

A tuple contains the name, the operating system, the size, whether the agent is installed, the
description, the life cycle, whether the image has a successor, and the tags. If the agent is not
installed, the image is shared.
"""


@pytest.mark.parametrize("chunks", [export.csv_chunks, export.json_chunks])
@settings(
    max_examples=20,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(images=any_images)
def test_an_export_gives_the_same_images_in_another_registry(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault, *, chunks: object, images: list[Any]
) -> None:
    for table in (JobRow, Job, AuditEntry, Image):
        table.delete().execute()
    actor, acme, globex = actor_of("scalr-admin"), scope("acme"), scope("globex")
    earlier = None
    for number, values in enumerate(images):
        name, system, size, has_agent, description, plan, has_successor, tags = values
        image = registration.register_unverified(
            actor,
            acme,
            "aws",
            Locator("us-east-1", ami_id(number)),
            choices(
                name=name,
                os_family=system[0],
                os_version=system[1],
                size_gb=size,
                agent_installed=has_agent,
                shared=not has_agent,
                tags=tags,
                notes=f"# {description}\n\n;={name}" if has_agent else description,
            ),
            details=details(description=description, architecture="arm64"),
        )
        successor = earlier if has_successor and plan.has_dates else None
        life_cycle.change(
            actor,
            image,
            LifeCyclePlan(plan.deprecated_on, plan.retired_on, plan.reason, successor),
            successor_may_be_retired=True,
        )
        earlier = image.id
    exported = "".join(chunks(catalogue.iterate_images(actor, acme, OWNED_OR_INHERITED), acme))  # type: ignore[operator]
    file = import_formats.parse_file(exported.encode())
    same = make_plan(actor, acme, vault, file, UNVERIFIED)
    lines, _ = imports.list_lines(same, None, 1, 100)
    assert [(line.effect, line.errors) for line in lines] == [(Effect.UNCHANGED, [])] * len(images)
    imports.apply(make_plan(actor, globex, vault, file, UNVERIFIED), vault)
    assert records(actor, globex) == records(actor, acme)
