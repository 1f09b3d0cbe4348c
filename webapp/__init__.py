"""Create the image registry as a WSGI app. This module only connects the other modules."""

from __future__ import annotations

__version__ = "0.2.0"

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from flask import Flask
from flask_compress import Compress
from werkzeug.middleware.proxy_fix import ProxyFix

import models
from webapp import cli, database
from webapp.clouds import waiting
from webapp.clouds.outgoing import endpoints, memory
from webapp.clouds.outgoing.budgets import budgets
from webapp.credentials.vault import Vault
from webapp.database import private_files
from webapp.images import catching_up, deletion, due_dates
from webapp.images.receipts import Receipts
from webapp.jobs import actions, bulk_actions, scope_deletion, store, ticker
from webapp.jobs.background import Background
from webapp.jobs.runner import Runner
from webapp.jobs.ticker import PeriodicWork
from webapp.monitoring.metrics import CLOUD_WAITING_THREADS, Sampler
from webapp.people import notices, sessions
from webapp.people.attempts import Attempts
from webapp.people.last_seen import LastSeen
from webapp.people.sessions import Lifetimes
from webapp.settings import Settings, read_settings
from webapp.transfer import import_job
from webapp.transfer.downloads import Downloads
from webapp.transfer.uploads import Uploads
from webapp.views import mount_views
from webapp.warm_up import WarmUp
from webapp.web import error_pages, logs, navigation, rendering, security, session_cookies
from webapp.web.metrics_port import MetricsServer
from webapp.web.probes import Probes
from webapp.web.readiness import Readiness
from webapp.web.services import Services
from webapp.web.services import init_app as init_services
from webapp.web.static_files import StaticFiles, read_static_files
from webapp.web.url_prefix import UrlPrefix

SWITCH_SECONDS = 0.001
"""The time that a thread may compute while other threads wait for the interpreter.

A short request waits for the interpreter after each query. With Python's default of 0.005 seconds,
a list would take much longer while another thread parses the answer of a cloud.
"""


def create_app(environ: Mapping[str, str] | None = None) -> Flask:
    """Return the app, configured by `environ` or, if it is None, by the environment variables.

    Raises SettingsError if a setting is missing or wrong.
    """
    settings = read_settings(os.environ if environ is None else environ)
    endpoints.configure(settings.allowed_endpoints)
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
    for file in settings.secret_files:
        private_files.tighten(file)
    models.database.initialize(
        database.open_database(settings.database_url, pgbouncer=settings.pgbouncer)
    )
    if settings.direct_database_url:
        database.parse_postgresql(settings.direct_database_url, "DIRECT_DATABASE_URL")
    services = _services(settings)
    app.extensions["services"] = services
    app.wsgi_app = StaticFiles(app.wsgi_app, read_static_files())  # type: ignore[method-assign]
    app.wsgi_app = services.probes.wrap(app.wsgi_app)  # type: ignore[assignment, method-assign]
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
    waiting.while_waiting = models.released_connection
    ticker.register(
        (
            PeriodicWork("apply due dates", 20, due_dates.apply_chunk),
            PeriodicWork("catch up with older versions", 20, catching_up.catch_up_chunk),
            PeriodicWork("complete deletions", 600, scope_deletion.complete_chunk),
            PeriodicWork("purge jobs", 3600, store.purge_chunk),
            PeriodicWork("purge deleted images", 3600, deletion.purge_chunk),
            PeriodicWork(
                "purge ended sessions",
                3600,
                partial(sessions.purge_chunk, services.session_lifetimes),
            ),
            PeriodicWork("purge notices", 3600, notices.purge_chunk),
        )
    )
    ticker.register_for_each_process("last seen", services.last_seen.save)
    logs.init_app(app, behind_proxy=settings.trusted_proxies > 0)
    database.init_app(app)
    security.init_app(app)
    Compress(app)
    rendering.init_app(app)
    navigation.init_app(app)
    error_pages.init_app(app)
    cli.init_app(app)
    init_services(app)
    mount_views(app)
    return app


def _services(settings: Settings) -> Services:
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
        session_lifetimes=Lifetimes(
            idle=timedelta(minutes=settings.session_idle_minutes),
            absolute=timedelta(days=settings.session_days),
        ),
        last_seen=LastSeen(),
        downloads=Downloads(settings.threads),
        uploads=Uploads(),
        warm_up=WarmUp(),
        background=background,
        readiness=readiness,
        probes=probes,
        sampler=sampler if settings.metrics_token or bind else None,
        metrics_server=MetricsServer(probes, bind) if bind else None,
    )
