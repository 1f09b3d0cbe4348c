"""The kinds of jobs. Other modules define them, and `create_app` registers them here.

A job has rows, and does the same work for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from models import Job, JobRow, Scope
from webapp.access import Actor
from webapp.clouds.errors import CallsInProgress, CloudThrottled, CloudUnreachable
from webapp.credentials.vault import Vault
from webapp.jobs.store import Outcome

RETRIED_CLOUD_ERRORS = (CallsInProgress, CloudThrottled, CloudUnreachable)
"""If a call to a cloud raises one of these errors, the row is tried again."""
ProcessRow = Callable[[Actor, Scope, Mapping[str, Any], JobRow, Vault], Outcome]
"""Process one row. The third argument holds the arguments of the job.

Raises RETRIED_CLOUD_ERRORS if another attempt may succeed. If `Outcome.kind` is '', a part of the
work remains, and the function is called again.
"""


@dataclass(frozen=True)
class JobAction:
    """One kind of job.

    `key` is stored in `Job.action`. `title` is the heading of the job's page; `{images}` in the
    title is replaced, for example by '12 images', and `{name}` by the argument `name` of the job.
    If `calls_cloud` is false, the rows are processed in their order, and one transaction saves the
    changes and the outcome of a row. If `calls_cloud` is true, several rows are processed at the
    same time, in any order, and no transaction is open while a row waits for its cloud.
    """

    key: str
    title: str
    process_row: ProcessRow
    calls_cloud: bool = False
    can_be_stopped: bool = True
    noun: str = "image"
    """The noun for one row in the texts of the job, such as “image”."""
    failure_message: str = ""
    """Unless this is '', it replaces the message of an error that makes a row fail or stops a job.

    Only actions that call no cloud may have a `failure_message`.
    """
    is_listed: bool = True
    """Whether these jobs are in the list of a person's jobs.

    A job that only does a part of the work of another job is not listed.
    """
    has_long_rows: bool = False
    """Whether a row may take minutes. Its message then says how much of the row is done."""

    def title_for(self, count: int, name: str = "") -> str:
        """Return the title for `count` images, such as 'Delete 12 images'."""
        images = f"{count:,} image{'' if count == 1 else 's'}"
        return self.title.format(images=images, name=name)


JOB_ACTIONS: dict[str, JobAction] = {}
"""All actions by key. `create_app` fills this table."""


def register(actions: Iterable[JobAction]) -> None:
    """Add actions to JOB_ACTIONS. Registering the same action twice is harmless."""
    JOB_ACTIONS.update({action.key: action for action in actions})


def action_of(job: Job) -> JobAction:
    """Return the action of a job.

    Raises KeyError, for example if a newer version of the application started the job.
    """
    return JOB_ACTIONS[job.action]


def title_of(job: Job) -> str:
    """Return the heading of a job's page. A job can have its own title in its arguments."""
    action = replace(action_of(job), title=job.arguments.get("title") or action_of(job).title)
    return action.title_for(job.total, job.arguments.get("name", ""))
