"""Pages of a person, at no scope: signing in and out, the password, an invitation, the theme,
and the list of scopes to go to."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, g, request, session, url_for
from flask_login import LoginManager, current_user, login_required, login_user, logout_user

from models import Person
from webapp.forms.base import ActionForm, refuse
from webapp.forms.people import NewcomerForm, PasswordForm, SignInForm, ThemeForm
from webapp.people import accounts as people
from webapp.people import members, scopes
from webapp.web.rendering import leave, redirect, render, scope_url, toast
from webapp.web.services import services

pages = Blueprint("people", __name__)
login_manager = LoginManager()


class SignedIn:
    """What flask-login keeps of a person: the id changes with the password, and so ends every
    session."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, person: Person) -> None:
        self.person = person

    def get_id(self) -> str:
        return people.session_id(self.person)


@login_manager.user_loader
def _load(session_id: str) -> SignedIn | None:
    person = people.from_session_id(session_id)
    return SignedIn(person) if person else None


@login_manager.unauthorized_handler
def _ask_to_sign_in() -> Response:
    wanted = request.full_path.rstrip("?") if request.method == "GET" else ""
    return leave(url_for("people.sign_in", next=wanted or None))


@pages.before_app_request
def _load_actor() -> None:
    if request.endpoint != "static" and current_user.is_authenticated:
        g.actor = people.actor_for(current_user.person)


@pages.get("/")
@login_required
def home() -> Response:
    scope = scopes.home_of(g.actor)
    if scope is None:
        return render("people/no_scope.html")
    return redirect(scope_url(scope))


@pages.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Response:
    wanted = _local(request.args.get("next", ""))
    if current_user.is_authenticated:
        return redirect(wanted)
    form = SignInForm()
    if not form.validate_on_submit():
        return render("people/sign_in.html", form=form, status=422 if form.is_submitted() else 200)
    client = request.remote_addr or ""
    try:
        person = people.sign_in(
            form.email.data, form.password.data, client, services().failed_sign_ins
        )
    except people.SlowDown as error:
        refuse(form, f"Too many failed sign-ins. Try again in {error.minutes} minutes.")
        return render("people/sign_in.html", form=form, status=429)
    if person is None:
        refuse(form, "That e-mail address and password do not go together.")
        return render("people/sign_in.html", form=form, status=422)
    _start_session(person)
    return redirect(wanted)


@pages.post("/sign-out")
def sign_out() -> Response:
    logout_user()
    session.clear()
    toast("You are signed out.")
    return redirect(url_for("people.sign_in"))


@pages.route("/password", methods=["GET", "POST"])
@login_required
def password() -> Response:
    form = PasswordForm()
    if form.validate_on_submit():
        try:
            people.change_password(g.actor, form.old.data, form.new.data)
        except people.PasswordRefused as error:
            refuse(form, str(error), "new" if "present" not in str(error) else "old")
        else:
            _start_session(g.actor.person)
            toast("The password is changed. Every other session of yours has ended.")
            return redirect(url_for("people.home"))
    return render("people/password.html", form=form, status=422 if form.is_submitted() else 200)


@pages.post("/theme")
@login_required
def theme() -> Response:
    form = ThemeForm()
    if form.validate_on_submit():
        g.actor.person.theme = form.theme.data
        g.actor.person.save(only=[Person.theme])
    return leave(_local(request.form.get("next", "")))


@pages.get("/scopes")
@login_required
def scope_list() -> Response:
    text = request.args.get("q", "").strip()
    found = scopes.visible_to(g.actor, text)
    return render("scopes/scopes.html", fragment="scopes/_scopes.html", scopes=found, text=text)


@pages.route("/invitation/<token>", methods=["GET", "POST"])
def invitation(token: str) -> Response:
    try:
        invited = members.invitation_for(token)
    except members.InvitationOver:
        return render("people/invitation_over.html", status=404)
    known = Person.select().where(Person.email == invited.email).exists()
    if current_user.is_authenticated:
        return _accept_signed_in(token)
    if known:
        return redirect(url_for("people.sign_in", next=request.path))
    form = NewcomerForm()
    if form.validate_on_submit():
        try:
            person, scope = members.accept_as_newcomer(token, form.name.data, form.password.data)
        except people.PasswordRefused as error:
            refuse(form, str(error), "password")
        except members.MemberError as error:
            refuse(form, str(error))
        else:
            _start_session(person)
            toast(f"Welcome. You are a member of {scope.label} now.")
            return redirect(scope_url(scope))
    status = 422 if form.is_submitted() else 200
    return render("people/invitation.html", invitation=invited, form=form, status=status)


def _accept_signed_in(token: str) -> Response:
    invited = members.invitation_for(token)
    form = ActionForm()
    person = g.actor.person
    if form.validate_on_submit() and invited.email == person.email:
        scope = members.accept_as(person, token)
        toast(f"You are a member of {scope.label} now.")
        return redirect(scope_url(scope))
    return render("people/invitation.html", invitation=invited, form=form, person=person)


def _start_session(person: Person) -> None:
    session.clear()
    login_user(SignedIn(person), remember=False)
    session.permanent = True


def _local(target: str) -> str:
    """`target` if it is a path of this site, else the start page: no sign-in link may lead
    elsewhere."""
    parts = urlsplit(target)
    if (
        parts.scheme
        or parts.netloc
        or not target.startswith("/")
        or target.startswith(("//", "/\\"))
    ):
        return url_for("people.home")
    return target
