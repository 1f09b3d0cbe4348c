"""Check whether this process can serve requests, and read figures for the metrics."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from peewee import PeeweeException

import models
from models import CloudCredentials, open_connection
from webapp import database
from webapp.credentials.vault import KeyLost, Vault
from webapp.database.outages import Outage, first_line
from webapp.database.waiting import limit_statements
from webapp.jobs import figures
from webapp.jobs.background import Background
from webapp.jobs.figures import JobFigures
from webapp.monitoring.bounded import BoundedCall

CHECK_SECONDS = 2.0
"""The maximum time in seconds that a probe waits for the database."""
STATEMENT_SECONDS = 1.5
"""The maximum time in seconds for one statement of the check."""
DATABASE_FAILS = "the database does not answer"
INVALID_KEYS = "no key in CREDENTIALS_KEYS can decrypt the oldest or the newest credentials"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Findings:
    """The problems that prevent this process from serving requests, and figures about jobs.

    There are no figures if the database does not answer, or if it lacks migrations.
    """

    problems: tuple[str, ...]
    is_database_up: bool
    figures: JobFigures | None = None


class Readiness:
    """Checks whether this process can serve requests. There is one instance per process."""

    def __init__(self, vault: Vault, background: Background) -> None:
        self._vault, self._background = vault, background
        self._is_draining = False
        self._outage = Outage(
            "this process is not ready", "this process is ready again", level=logging.WARNING
        )
        timeout_findings = Findings((DATABASE_FAILS,), is_database_up=False)
        self._call = BoundedCall(self._check, timeout_findings, CHECK_SECONDS)

    def drain(self) -> None:
        """Report the process as not ready from now on, because it has begun to shut down."""
        self._is_draining = True

    def findings(self) -> Findings:
        """Return the findings of a check, which may be up to ten seconds old.

        Wait at most CHECK_SECONDS.
        """
        findings = self._call.get()
        if self._is_draining:
            problems = ("the process is shutting down", *findings.problems)
            return Findings(problems, findings.is_database_up, findings.figures)
        return findings

    def problems(self) -> tuple[str, ...]:
        """Return the problems that prevent this process from serving requests.

        Log when the process is no longer ready, and when it is ready again.
        """
        problems = self.findings().problems
        if problems:
            self._outage.record_failure("; ".join(problems))
        else:
            self._outage.record_success()
        return problems

    def _check(self) -> Findings:
        problems = [f"the thread “{name}” has ended" for name in self._background.dead_threads()]
        limit_statements(STATEMENT_SECONDS)
        try:
            with open_connection():
                missing_migrations = database.pending_migrations(models.database.obj)
                if missing_migrations:
                    problems.append(
                        f"the database lacks migrations: {', '.join(missing_migrations)}"
                    )
                    return Findings(tuple(problems), is_database_up=True)
                if not self._are_keys_valid():
                    problems.append(INVALID_KEYS)
                return Findings(
                    tuple(problems), is_database_up=True, figures=figures.read_figures()
                )
        except PeeweeException as error:
            if database.record_failure(error) is None:
                problems.append(first_line(error))
        except Exception:
            log.exception("the readiness check failed")
        return Findings((DATABASE_FAILS, *problems), is_database_up=False)

    def _are_keys_valid(self) -> bool:
        """Return whether the oldest or the newest credentials can be decrypted.

        If only one of the two is encrypted with a lost key, the process is still ready. If no
        credentials are stored, return True.
        """
        orders = (CloudCredentials.id.asc(), CloudCredentials.id.desc())
        rows = [
            row for order in orders for row in CloudCredentials.select().order_by(order).limit(1)
        ]
        problems = map(self._vault.problem_of, rows)
        return not rows or any(not isinstance(each, KeyLost) for each in problems)
