"""The objects that each process creates once, such as the vault and the limits of uploads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from flask import Flask, current_app

from webapp.credentials.vault import Vault
from webapp.images.receipts import Receipts
from webapp.jobs.background import Background
from webapp.monitoring.metrics import Sampler
from webapp.people.attempts import Attempts
from webapp.people.last_seen import LastSeen, LastUsed
from webapp.people.sessions import Lifetimes
from webapp.settings import Settings
from webapp.single_sign_on.client import SingleSignOn
from webapp.single_sign_on.token_exchange import RuleIssuers, TokenExchange
from webapp.tokens.rate_limits import RateLimits
from webapp.tokens.verifier import TokenVerifier
from webapp.transfer.downloads import Downloads
from webapp.transfer.uploads import Uploads
from webapp.warm_up import WarmUp
from webapp.web.metrics_port import MetricsServer
from webapp.web.person_limits import PersonLimits
from webapp.web.probes import Probes
from webapp.web.readiness import Readiness


@dataclass(frozen=True)
class Services:
    """The objects that `create_app` creates. Views get them from the function `services`."""

    settings: Settings
    vault: Vault
    receipts: Receipts
    attempts: Attempts
    single_sign_on: SingleSignOn
    rule_issuers: RuleIssuers
    session_lifetimes: Lifetimes
    proof_lifetime: timedelta
    """How long a proof of identity allows sensitive changes."""
    last_seen: LastSeen
    tokens_used: LastUsed
    person_limits: PersonLimits
    rate_limits: RateLimits
    downloads: Downloads
    uploads: Uploads
    warm_up: WarmUp
    background: Background
    readiness: Readiness
    probes: Probes
    sampler: Sampler | None
    """Measures this process for the metrics. None if the metrics are turned off."""
    metrics_server: MetricsServer | None

    @property
    def token_verifier(self) -> TokenVerifier:
        """Checks the API tokens of requests."""
        return TokenVerifier(self.vault, self.attempts, self.tokens_used)

    @property
    def token_exchange(self) -> TokenExchange:
        """Exchanges the ID tokens of pipelines for API tokens."""
        return TokenExchange(self.vault, self.attempts, self.rule_issuers)

    def start_threads(self) -> None:
        """Start the threads of this process if they are not running yet.

        Call this only after the server has forked, because a fork does not copy threads.
        """
        self.warm_up.start()
        self.background.start(process_jobs=self.settings.web_runs_jobs)
        self.start_monitoring()

    def start_monitoring(self) -> None:
        """Start the threads for metrics, unless metrics are turned off."""
        if self.sampler:
            self.sampler.start()
        if self.metrics_server:
            self.metrics_server.start()


def init_app(app: Flask) -> None:
    """Start the threads with the first request.

    Under gunicorn, `gunicorn.conf.py` has already started them in each worker.
    """

    @app.before_request
    def _start() -> None:
        if not app.testing:
            services().start_threads()


def services() -> Services:
    """Return the services of the current app."""
    current_services: Services = current_app.extensions["services"]
    return current_services
