"""Fixtures for the end-to-end tests in a real browser.

The app runs under gunicorn with the clouds of the sandbox. Each test file gets a fresh database.
Screenshots of failures go to `e2e/artifacts/`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Locator,
    Page,
    Playwright,
    Response,
    expect,
    sync_playwright,
)

from tests import served
from tests.production import Production, production

ARTIFACTS = Path(__file__).parent / "artifacts"
PASSWORD = "demonstration"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUMS = ("chromium-headless-shell", "chromium", "google-chrome")
"""The names of Chromium's program, the preferred one first."""
FIREFOX_PREFERENCES: dict[str, str | float | bool] = {"ui.prefersReducedMotion": 1}
FIREFOX_START_SECONDS = 180
FIREFOX_ACTION_SECONDS = 60
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

expect.set_options(timeout=10_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--production",
        action="store_true",
        help="run the app behind nginx with two servers, a worker, PostgreSQL, PgBouncer and Redis",
    )
    parser.addoption(
        "--firefox", action="store_true", help="open the pages in Firefox instead of Chromium"
    )


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start the clouds, and yield the path of their sandbox.json."""
    with served.sandbox(tmp_path_factory.mktemp("sandbox")) as path:
        yield path


@dataclass
class Site:
    """A running demonstration."""

    url: str
    without_database: Callable[[], AbstractContextManager[None]]
    """Returns a context manager. Inside its `with` statement, the database can't be reached."""


@pytest.fixture(scope="session")
def production_set(
    sandbox: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Production | None]:
    """Yield the production set (see `tests.production`), or None without `--production`."""
    if not request.config.getoption("--production"):
        yield None
        return
    with production(tmp_path_factory.mktemp("production"), sandbox) as started:
        started.store_rows()
        yield started


@pytest.fixture(scope="module")
def running_site(
    sandbox: Path,
    production_set: Production | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Yield a freshly seeded demonstration: one server, or the production set."""
    if production_set is None:
        with one_server(tmp_path_factory.mktemp("site"), sandbox) as site:
            yield site
        return
    production_set.restore_rows()
    yield Site(production_set.url, partial(_without_postgresql, production_set))
    assert not production_set.tracebacks()


@contextmanager
def one_server(
    folder: Path, sandbox: Path, port: int | None = None, /, **settings: str
) -> Iterator[Site]:
    """Run the demonstration on one server, with further settings. By default, use a free port."""
    seeded = _seeded(sandbox)
    shutil.copytree(seeded["DATA_DIR"], folder, dirs_exist_ok=True)
    environ = {**seeded, "DATA_DIR": str(folder), **settings}
    file = folder / "registry.db"
    hidden = file.with_suffix(".hidden")

    @contextmanager
    def without_database() -> Iterator[None]:
        file.rename(hidden)
        try:
            yield
        finally:
            hidden.rename(file)

    with served.serve_app(environ, folder / "log", port=port) as app:
        yield Site(app.url, without_database)
    log = (folder / "log").read_text()
    assert "Traceback" not in log, log


@cache
def _seeded(sandbox: Path) -> dict[str, str]:
    """Seed a demonstration that other servers copy, and return its environment."""
    folder = sandbox.with_name(f"{sandbox.stem}-demonstration")
    folder.mkdir()
    environ = served.app_environ(folder)
    served.seed(environ, sandbox)
    return environ


@contextmanager
def _without_postgresql(started: Production) -> Iterator[None]:
    started.database.stop()
    try:
        yield
    finally:
        started.database.start()
        started.wait_until_ready()


@pytest.fixture
def site(running_site: Site) -> str:
    """Return the URL of the demonstration."""
    return running_site.url


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Yield Chromium, or Firefox with the option `--firefox`."""
    launch = _launch_firefox if request.config.getoption("--firefox") else _launch_chromium
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


def _launch_chromium(playwright: Playwright) -> Browser:
    """Start Playwright's own browser if it is installed, else the Chromium of the system.

    The headless shell of Chromium needs less processor time than Chromium itself.
    """
    chromium = playwright.chromium
    installed = Path(chromium.executable_path).exists()
    path = None if installed else next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if not installed and path is None:
        pytest.fail("No browser found. Install Debian's package chromium-headless-shell.")
    return chromium.launch(executable_path=path, args=ARGUMENTS)


def _launch_firefox(playwright: Playwright) -> Browser:
    """Start the Firefox of the system. Playwright drives it with WebDriver BiDi."""
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.fail("Firefox was not found. Install Debian's package firefox-esr.")
    return playwright.firefox.launch(
        channel="moz-firefox",
        executable_path=path,
        firefox_user_prefs=FIREFOX_PREFERENCES,
        timeout=FIREFOX_START_SECONDS * 1000,
    )


OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def other_sites() -> tuple[str, ...]:
    """Return the URLs of further sites that people visit in the tests of a module."""
    return ()


@pytest.fixture
def open_page(
    browser: Browser, site: str, other_sites: tuple[str, ...], request: pytest.FixtureRequest
) -> Iterator[OpenPage]:
    """Return a function that opens a page in a context of its own.

    The test fails if the page violates the Content-Security-Policy, raises an error in a script, or
    sends a request to another site. Violations of the policy are found in Chromium only.
    """
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(
            **{
                "viewport": DESKTOP,
                "base_url": site,
                "reduced_motion": "reduce",
                # The certificate of the production set is from an authority of its own.
                "ignore_https_errors": True,
                **options,
            }
        )
        contexts.append(context)
        page = context.new_page()
        if request.config.getoption("--firefox"):
            page.set_default_timeout(FIREFOX_ACTION_SECONDS * 1000)
            page.goto = partial(_go_to, page, page.goto)  # type: ignore[method-assign]
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on(
            "console",
            lambda message: (
                problems.append(f"console: {message.text}")
                if "Content Security Policy" in message.text
                else None
            ),
        )
        page.on(
            "request",
            lambda sent_request: (
                None
                if sent_request.url.startswith((site, *other_sites, "data:", "about:"))
                else problems.append(sent_request.url)
            ),
        )
        return page

    yield open_page
    failed = request.node.stash.get(FAILED, False)
    problems_before_closing = list(problems)
    for number, context in enumerate(contexts):
        if failed:
            ARTIFACTS.mkdir(exist_ok=True)
            name = re.sub(r"\W+", "-", request.node.name)
            for page in context.pages:
                page.screenshot(path=ARTIFACTS / f"{name}-{number}.png", full_page=True)
        context.close()
    assert not problems_before_closing


def _go_to(
    page: Page, goto: Callable[..., Response | None], url: str, **options: Any
) -> Response | None:
    """Open a URL in Firefox.

    If the previous page has not loaded yet, Firefox sometimes gives the navigation a second ID.
    Playwright then mistakes the second ID for another navigation.
    """
    page.wait_for_load_state()
    try:
        return goto(url, **options)
    except Error as error:
        if "is interrupted by another navigation" not in error.message:
            raise
    page.wait_for_load_state()
    return goto(url, **options)


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


SignIn = Callable[..., Page]


@pytest.fixture
def sign_in(open_page: OpenPage) -> SignIn:
    """Return a function that signs in a person of the demonstration and opens their Images page."""

    def sign_in(name: str, **options: Any) -> Page:
        page = open_page(**options)
        page.goto("/sign-in")
        page.get_by_label("E-mail").fill(f"{name}@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", name="Images", exact=True)).to_be_visible()
        return page

    return sign_in


def toasts(page: Page) -> Locator:
    return page.locator("#toasts")


def register(page: Page, scope: str, image_id: str, location: str, **changes: str) -> None:
    """Register an image at `scope` with New Image. Afterwards, the page of the image is open."""
    page.goto(f"{scope}/images/new/aws")
    page.get_by_label("Location").select_option(location)
    page.get_by_label("Cloud Image ID").fill(image_id)
    page.get_by_role("button", name="NEXT").click()
    expect(page.get_by_role("heading", name="Image details")).to_be_visible()
    if "name" in changes:
        page.get_by_label("Name", exact=True).fill(changes["name"])
    page.get_by_role("button", name="REGISTER").click()
    expect(page.get_by_role("heading", name="Registration")).to_be_visible()


def tab_to(page: Page, selector: str, limit: int = 80) -> None:
    """Press Tab until the element has the focus, as a person without a mouse would."""
    for _ in range(limit):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab does not reach {selector}")
