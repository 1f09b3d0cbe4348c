"""Create the image registry as a WSGI app. This module only connects the other modules."""

from __future__ import annotations

__version__ = "0.2.0"

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from flask import Flask
from flask_compress import Compress
from werkzeug.middleware.proxy_fix import ProxyFix

import models
from webapp import api, cli, database, repeatable_requests
from webapp.audit import seals
from webapp.clouds import waiting
from webapp.clouds.outgoing import encryption, endpoints, memory
from webapp.clouds.outgoing.budgets import budgets
from webapp.credentials.vault import Vault
from webapp.database import private_files
from webapp.images import catching_up, deletion, due_dates
from webapp.images.receipts import Receipts
from webapp.jobs import actions, bulk_actions, scope_deletion, store, ticker
from webapp.jobs.background import Background
from webapp.jobs.runner import Runner
from webapp.jobs.ticker import PeriodicWork
from webapp.mail import outbox
from webapp.mail.messages import Writer
from webapp.mail.outbox import Kind
from webapp.mail.sender import Sender
from webapp.monitoring.metrics import CLOUD_WAITING_THREADS, Sampler
from webapp.people import members, notices, resets, sessions, single_use
from webapp.people.attempts import Attempts
from webapp.people.last_seen import LastSeen, LastUsed
from webapp.people.sessions import Lifetimes
from webapp.settings import Settings, read_settings
from webapp.single_sign_on import identities
from webapp.single_sign_on.client import SingleSignOn
from webapp.single_sign_on.configuration import Configuration, read_configuration
from webapp.single_sign_on.token_exchange import RuleIssuers
from webapp.tokens import tokens
from webapp.tokens.rate_limits import RateLimits
from webapp.transfer import import_job, imports
from webapp.transfer.downloads import Downloads
from webapp.transfer.uploads import Uploads
from webapp.views import mount_views
from webapp.warm_up import WarmUp
from webapp.web import error_pages, logs, navigation, rendering, security, session_cookies
from webapp.web.metrics_port import MetricsServer
from webapp.web.person_limits import PersonLimits
from webapp.web.probes import Probes
from webapp.web.readiness import Readiness
from webapp.web.security import SecurityHeaders
from webapp.web.services import Services
from webapp.web.services import init_app as init_services
from webapp.web.session_cookies import cookie_name
from webapp.web.static_files import StaticFiles, read_static_files
from webapp.web.url_prefix import UrlPrefix

SWITCH_SECONDS = 0.0002
"""The time that a thread may compute while other threads wait for the interpreter.

A short request waits for the interpreter after each query. While another thread parses the response
of a cloud, a request with eight queries and 8 ms of computing takes 21 ms. With Python's default of
0.005 seconds, it would take 102 ms.
"""


PREPARATIONS = {
    Kind.INVITATION: members.prepare_mail,
    Kind.PASSWORD_RESET: resets.prepare_mail,
}
"""The function to call before a mail is sent, by the kind of mail.

The link in the mail contains a token. The function stores the digest of this token, and returns
whether to send the mail.
"""


def create_app(environ: Mapping[str, str] | None = None) -> Flask:
    """Return the app, configured by `environ` or, if it is None, by the environment variables.

    Raises SettingsError if a setting is missing or wrong.
    """
    environ = os.environ if environ is None else environ
    settings = read_settings(environ)
    identity_providers = read_configuration(settings.oidc_providers_file, environ)
    endpoints.configure(settings.allowed_endpoints)
    encryption.configure(required=settings.require_tls)
    budgets.configure(settings.threads)
    memory.configure()
    sys.setswitchinterval(SWITCH_SECONDS)
    app = Flask(__name__, static_folder=None)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=1024 * 1024,
        WTF_CSRF_TIME_LIMIT=None,
        # A page takes a few milliseconds. Higher levels of compression would add too much time.
        COMPRESS_LEVEL=1,
        COMPRESS_BR_LEVEL=1,
        VERSION=__version__,
    )
    session_cookies.init_app(app, settings)
    logs.configure(settings)
    private_files.tighten_data_folder(settings.data_dir)
    for file in (*settings.secret_files, *identity_providers.secret_files):
        private_files.tighten(file)
    models.database.initialize(
        database.open_database(settings.database_url, pgbouncer=settings.pgbouncer)
    )
    if settings.direct_database_url:
        database.parse_postgresql(settings.direct_database_url, "DIRECT_DATABASE_URL")
    if settings.require_tls:
        database.require_tls(settings.database_url)
        database.require_tls(settings.direct_database_url, "DIRECT_DATABASE_URL")
    services = _services(settings, identity_providers)
    app.extensions["services"] = services
    app.wsgi_app = services.person_limits.wrap(app.wsgi_app)  # type: ignore[assignment, method-assign]
    api.mount(app, services.person_limits, behind_proxy=settings.trusted_proxies > 0)
    app.wsgi_app = StaticFiles(app.wsgi_app, read_static_files())  # type: ignore[method-assign]
    app.wsgi_app = services.probes.wrap(app.wsgi_app)  # type: ignore[assignment, method-assign]
    app.wsgi_app = SecurityHeaders(  # type: ignore[method-assign]
        app.wsgi_app, strict_transport=settings.secure_cookies
    )
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
    app.wsgi_app = UrlPrefix(  # type: ignore[method-assign]
        app.wsgi_app, settings.url_prefix, trust_forwarded=settings.trust_forwarded_prefix
    )
    actions.register(bulk_actions.JOB_ACTIONS)
    actions.register(import_job.JOB_ACTIONS)
    actions.register(scope_deletion.JOB_ACTIONS)
    waiting.released_resources = partial(_released_resources, services.person_limits)
    ticker.register(
        (
            PeriodicWork("apply due dates", 20, due_dates.apply_chunk),
            PeriodicWork("catch up with older versions", 20, catching_up.catch_up_chunk),
            PeriodicWork("bind credentials", 3600, services.vault.bind_older_rows),
            PeriodicWork("complete deletions", 600, scope_deletion.complete_chunk),
            PeriodicWork(
                "seal audit log",
                60,
                partial(seals.seal_chunk, services.vault.derive_keys(seals.PURPOSE)),
            ),
            PeriodicWork("continue imports", 20, partial(imports.proceed_chunk, services.vault)),
            PeriodicWork(
                "forget former factors",
                60,
                partial(identities.forget_factors, identity_providers.providers.values()),
            ),
            PeriodicWork("purge jobs", 3600, store.purge_chunk),
            PeriodicWork("purge deleted images", 3600, deletion.purge_chunk),
            PeriodicWork(
                "purge ended sessions",
                3600,
                partial(sessions.purge_chunk, services.session_lifetimes),
            ),
            PeriodicWork("purge used answers", 600, single_use.purge_chunk),
            PeriodicWork("purge notices", 3600, notices.purge_chunk),
            PeriodicWork("purge expired tokens", 3600, tokens.purge_chunk),
            PeriodicWork("purge repeatable requests", 3600, repeatable_requests.purge_chunk),
            PeriodicWork("purge mails", 600, outbox.purge_chunk),
            PeriodicWork("purge password resets", 3600, resets.purge_chunk),
        )
    )
    _start_mail(settings)
    ticker.register_for_each_process("last seen", services.last_seen.save)
    ticker.register_for_each_process("last use of tokens", services.tokens_used.save)
    logs.init_app(app, behind_proxy=settings.trusted_proxies > 0)
    database.init_app(app)
    security.init_app(app, settings.trusted_hosts)
    Compress(app)
    rendering.init_app(app)
    navigation.init_app(app)
    error_pages.init_app(app)
    cli.init_app(app)
    init_services(app)
    mount_views(app)
    return app


@contextmanager
def _released_resources(person_limits: PersonLimits) -> Iterator[None]:
    """Release the thread's database connection and its turn while the thread waits for a cloud.

    A turn is the permission to run (see `PersonLimits`). Afterwards, the thread first waits for a
    new turn and then gets a connection, so a thread that waits for its turn holds no connection.
    """
    with models.released_connection(), person_limits.released_turn():
        yield


def _start_mail(settings: Settings) -> None:
    """Let this process put mails into the outbox and send them, if a mail server is configured."""
    outbox.configure(enabled=settings.smtp is not None)
    if settings.smtp is None:
        return
    site = f"{settings.public_url}{settings.url_prefix}"
    sender = Sender(settings.smtp, Writer(settings.smtp, site, settings.secret_key), PREPARATIONS)
    # With an interval of 0 seconds, the work is due at each tick, and no process holds its lease
    # between ticks. See `webapp.jobs.ticker`.
    ticker.register([PeriodicWork("send mail", 0, sender.send_chunk, ticker.MAIL)])


def _services(settings: Settings, identity_providers: Configuration) -> Services:
    vault = Vault(settings.credentials_keys)
    background = Background(Runner(vault, settings.job_threads))
    readiness = Readiness(vault, background)
    probes = Probes(readiness, __version__, settings.metrics_token)
    bind = settings.metrics_bind
    sampler = Sampler({CLOUD_WAITING_THREADS: budgets.count_waiting_threads})
    return Services(
        settings=settings,
        vault=vault,
        receipts=Receipts(settings.secret_key),
        attempts=Attempts(settings.redis_url),
        single_sign_on=SingleSignOn(identity_providers),
        rule_issuers=RuleIssuers(),
        session_lifetimes=Lifetimes(
            idle=timedelta(minutes=settings.session_idle_minutes),
            absolute=timedelta(days=settings.session_days),
        ),
        proof_lifetime=timedelta(minutes=settings.confirm_minutes),
        last_seen=LastSeen(),
        tokens_used=LastUsed(),
        rate_limits=RateLimits(settings.redis_url, settings.api_requests_per_minute),
        person_limits=PersonLimits(settings.threads, cookie_name("session", settings)),
        downloads=Downloads(settings.threads),
        uploads=Uploads(),
        warm_up=WarmUp(),
        background=background,
        readiness=readiness,
        probes=probes,
        sampler=sampler if settings.metrics_token or bind else None,
        metrics_server=MetricsServer(probes, bind) if bind else None,
    )
