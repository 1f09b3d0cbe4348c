"""The blueprint for pages that belong to a person instead of a scope, and the sign-in session.

If a person is signed in, `g.actor` is set to this person with their roles before each view.
"""

from __future__ import annotations

import logging

from flask import Blueprint, Flask, Response, current_app, g, request, session, url_for
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from models import Person, SessionKind, today
from webapp.clouds.outgoing.budgets import person_of_request
from webapp.forms.people import SignInForm
from webapp.people import accounts, sessions
from webapp.people.accounts import HashingBusy
from webapp.people.attempts import TooManyAttempts
from webapp.people.sessions import Session
from webapp.web.rendering import (
    current_url,
    redirect,
    reload_page,
    render,
    render_refusal,
    render_session_end,
    toast,
    wants_fragment,
)
from webapp.web.resumed_forms import UnsentForm, current_unsent_form
from webapp.web.services import services
from webapp.web.session_cookies import (
    device_id,
    remember_device,
    send_session_token,
    session_token,
)


class SessionLoginManager(LoginManager):
    """Makes Flask-Login use the sessions of `webapp.people.sessions` instead of `flask.session`.

    `_update_remember_cookie` does nothing. Flask-Login's own method would read the state cookie
    (`flask.session`) for every response, so every response would have the header `Vary: Cookie`.
    """

    def _load_user(self) -> None:
        found = sessions.load_session(
            session_token(), services().session_lifetimes, g.get("scope_path", "")
        )
        self._update_request_context_with_user(SignedIn(found) if found else None)

    def _update_remember_cookie(self, response: Response) -> Response:
        return response


pages = Blueprint("people", __name__)
login_manager = SessionLoginManager()
log = logging.getLogger(__name__)
PERSON_ID = "person_id"
"""The key in the state cookie for the ID of the person who signed in last.

The state cookie is signed, and can be read without the database. It does not prove that the person
is still signed in.
"""
PUBLIC_FORMS = ("people.invitation", "people.forgot_password", "people.reset_password")
"""The endpoints of forms for people who have not signed in, except the forms for signing in.

The forms for signing in check the CSRF token themselves.
"""
FORMS_WITHOUT_GET = (
    "register_image",
    "bulk",
    "start_bulk",
    "answer_import",
    "invite",
    "create_child_scope",
    "save_view",
    "restore_images",
)
"""The names of the views that accept only POST and show their form again if it is invalid."""
RETRY_LENGTH = 1000
"""The maximum length of a form that a toast can send again, in characters.

The state cookie stores toasts, and a cookie must be short.
"""


def mount(app: Flask) -> None:
    # The context processor of Flask-Login would load the person for every page. Then even the page
    # that reports a database outage would need the database.
    login_manager.init_app(app, add_context_processor=False)
    app.register_blueprint(pages)
    app.register_error_handler(CSRFError, _csrf_error)


class SignedIn:
    """A signed-in person, with the attributes that Flask-Login requires."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, session: Session) -> None:
        self.session = session


def start_session(
    person: Person, kind: SessionKind, provider: str = "", *, used_factor: bool = False
) -> None:
    """Sign `person` in with a new session.

    `provider` is the key of the identity provider at which the person signed in, or ''.
    `used_factor` says whether they used a second factor there.
    """
    address, user_agent = request.remote_addr or "", request.headers.get("User-Agent", "")
    is_new = kind is not SessionKind.INVITATION and not device_id(person.email)
    token = sessions.start(
        person,
        kind,
        address,
        user_agent,
        provider=provider,
        used_factor=used_factor,
        is_new_browser=is_new,
    )
    send_session_token(token)
    remember_device(person.email)
    session.clear()
    # Flask-WTF caches the CSRF token in `g`. The cached token belongs to the old session.
    g.pop("csrf_token", None)
    session.permanent = True
    session[PERSON_ID] = str(person.id)
    g.actor = accounts.actor_for(person)


def uses_password(person: Person) -> bool:
    """Return whether a person has a password with which they may sign in."""
    return bool(person.password_hash) and services().settings.may_use_password(person.email)


def retry_later(response: Response, reason: TooManyAttempts | HashingBusy) -> Response:
    """Return `response` with a status and a header that say when to send the form again."""
    response.status_code = 429 if isinstance(reason, TooManyAttempts) else 503
    response.headers["Retry-After"] = str(reason.retry_after)
    return response


def local_url(target: str) -> str:
    """Return `target` if it is a path of this site, otherwise the URL of the home page.

    Without this check, a forged sign-in link could lead to another site. The check also refuses
    tabs and line breaks, which browsers ignore, and a backslash after the first slash, which
    browsers read as a second slash.
    """
    root = request.script_root
    path = target.removeprefix(root) if target.startswith(root) else ""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\"))
    return target if is_local and target.isprintable() else url_for("people.home")


def resume(unsent: UnsentForm, status: int = 200) -> Response:
    """Continue with a form that was not processed, now that the person is signed in.

    If the view can show the form, return a page that sends the form again, so that the view shows
    it. Otherwise, redirect to the page that contains the form, with a toast. If the form is short
    (RETRY_LENGTH) and has each field only once, the toast has a button that sends the form.
    """
    if _can_be_shown(unsent):
        return render("people/resume_form.html", unsent=unsent, status=status)
    values = dict(unsent.values)
    fits_in_toast = len(values) == len(unsent.values) and len(str(values)) <= RETRY_LENGTH
    toast(
        "Your session had ended, so nothing was changed.",
        "warning",
        action=("Try again", unsent.path, values) if fits_in_toast else None,
    )
    return redirect(local_url(unsent.page))


def _can_be_shown(unsent: UnsentForm) -> bool:
    """Return whether the form's view shows the form again if the form is invalid."""
    path = unsent.path.removeprefix(request.script_root).partition("?")[0]
    try:
        rule, _ = current_app.url_map.bind("").match(path, "POST", return_rule=True)
    except HTTPException:
        return False
    name = rule.endpoint.rpartition(".")[2]
    return "GET" in (rule.methods or ()) or name in FORMS_WITHOUT_GET


@login_manager.unauthorized_handler
def _require_sign_in() -> Response:
    """Ask the person to sign in. Afterwards, they return to the page or to the form they sent."""
    sign_in_url = url_for("people.sign_in", next=current_url() or None)
    if wants_fragment():
        return render_session_end(sign_in_url)
    unsent = current_unsent_form()
    if unsent is None:
        return redirect(sign_in_url)
    form = SignInForm(formdata=None)
    return render("people/sign_in.html", form=form, unsent=unsent, status=401)


def _csrf_error(_error: CSRFError) -> Response:
    """Refuse a form that was sent with an invalid CSRF token, and show it again.

    The token is invalid after the session has ended, or after the person has signed in again.
    """
    _load_actor()
    log.info("refused a form with an invalid CSRF token, for %s", request.endpoint)
    is_public = request.endpoint in PUBLIC_FORMS
    if not (is_public or current_user.is_authenticated):
        return _require_sign_in()
    if wants_fragment():
        toast("You’ve signed in again since you opened this page. Try again.", "warning")
        return reload_page()
    unsent = current_unsent_form()
    if unsent is None:
        return render_refusal(
            "This form came from another site",
            "Nothing was changed. Open the page in this registry and use the form there.",
            400,
        )
    return resume(unsent, status=400)


@pages.before_app_request
def _load_actor() -> None:
    if current_user.is_authenticated:
        g.actor = current_user.session.actor
        g.requested_scope = current_user.session.scope
        services().last_seen.remember(current_user.session.record)
        person_of_request.set(g.actor.person.id)
        _renew_state()


@pages.teardown_app_request
def _forget_person(_error: BaseException | None) -> None:
    person_of_request.set(None)  # The thread will serve other people.


def _renew_state() -> None:
    """Send the state cookie again once a day, so that it expires only in an unused browser."""
    day = today().toordinal()
    if session.get("day") != day:
        session["day"] = day
