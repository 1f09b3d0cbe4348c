"""The blueprint for pages that belong to a person instead of a scope, and the sign-in session.

Before each view, `g.actor` is set to the signed-in person with their roles.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, g, request, session, url_for
from flask_login import LoginManager, current_user, login_user

from models import Person, today
from webapp.people import sessions
from webapp.people.sessions import Session
from webapp.web.rendering import current_url, redirect_whole_page

pages = Blueprint("people", __name__)
login_manager = LoginManager()


def mount(app: Flask) -> None:
    login_manager.init_app(app)
    app.register_blueprint(pages)


class SignedIn:
    """A signed-in person, with the attributes that flask-login requires.

    `session` is None in the request that signs the person in.
    """

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, person: Person, session: Session | None = None) -> None:
        self.person, self.session = person, session

    def get_id(self) -> str:
        """Return the session ID.

        The ID changes with the password, so a new password signs out every browser.
        """
        return sessions.session_id(self.person)


def start_session(person: Person) -> None:
    """Sign `person` in with a fresh session."""
    session.clear()
    login_user(SignedIn(person), remember=False)
    session.permanent = True


def local_url(target: str) -> str:
    """Return `target` if it is a path of this site, otherwise the URL of the start page.

    Without this check, a forged sign-in link could lead to another site. Browsers ignore control
    characters in a URL, and read a backslash as a slash.
    """
    root = request.script_root
    path = target.removeprefix(root) if target.startswith(root) else ""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\"))
    return target if is_local and target.isprintable() else url_for("people.home")


@login_manager.user_loader
def _load_person(session_id: str) -> SignedIn | None:
    loaded = sessions.load_session(session_id, g.get("scope_path", ""))
    return SignedIn(loaded.actor.person, loaded) if loaded else None


@login_manager.unauthorized_handler
def _require_sign_in() -> Response:
    return redirect_whole_page(url_for("people.sign_in", next=current_url() or None))


@pages.before_app_request
def _load_actor() -> None:
    if request.endpoint != "static" and current_user.is_authenticated:
        g.actor = current_user.session.actor
        g.requested_scope = current_user.session.scope
        _renew_session()


def _renew_session() -> None:
    """Send the session cookie again once a day. It therefore expires only if nobody uses it."""
    day = today().toordinal()
    if session.get("day") != day:
        session["day"] = day
