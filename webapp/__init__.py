"""The image registry as a WSGI app: wiring only. What it does is in the modules beside this one."""

from __future__ import annotations

__version__ = "0.2.0"

import logging
import os
from collections.abc import Mapping

from flask import Flask
from flask_compress import Compress
from werkzeug.middleware.proxy_fix import ProxyFix

import models
from webapp import cli as commands
from webapp import database, warm_up
from webapp import settings as settings_module
from webapp.jobs import bulk_actions, runner
from webapp.transfer import import_plans
from webapp.views import account_pages, mount_views
from webapp.web import error_pages as errors
from webapp.web import logs, rendering, security, services

log = logging.getLogger(__name__)


def create_app(environ: Mapping[str, str] | None = None) -> Flask:
    """The app, configured by `environ` or, without one, by the process's environment. Raises
    SettingsError."""
    settings = settings_module.read(os.environ if environ is None else environ)
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_NAME="session",
        MAX_CONTENT_LENGTH=1024 * 1024,
        SEND_FILE_MAX_AGE_DEFAULT=31_536_000,
        WTF_CSRF_TIME_LIMIT=None,
        # A page is built in a few milliseconds: the levels that add least to that.
        COMPRESS_LEVEL=1,
        COMPRESS_BR_LEVEL=1,
        VERSION=__version__,
    )
    logs.configure(settings.log_level)
    log.info("Image Registry %s is starting", __version__)
    models.database.initialize(database.open_database(settings.database_url))
    app.extensions["services"] = services.make(settings)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops
        )
    runner.register(bulk_actions.JOB_ACTIONS)
    runner.register(import_plans.JOB_ACTIONS)
    database.init_app(app)
    security.init_app(app)
    Compress(app)
    account_pages.login_manager.init_app(app)
    rendering.init_app(app)
    errors.init_app(app)
    commands.init_app(app)
    warm_up.init_app(app, app.extensions["services"].warm_up)
    mount_views(app)
    return app
