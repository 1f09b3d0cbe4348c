"""The documentation is complete, and its links work.

The tests fail for a setting, command, search token, column, role, status or cloud that `docs/` does
not describe. Most of them count as described if they are code in the first column of a table in
their chapter.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

import webapp
from images_cli.failures import ExitCode
from images_cli.main import images
from models import LifeCycle, Role
from tests.environ import ENVIRON
from webapp import cli, settings
from webapp.access import Right, weakest_role_with
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.jobs import bulk_actions
from webapp.search.audit_log import keys as audit_log_keys
from webapp.search.keys import FIXED_VALUES, KEYS, Key
from webapp.transfer import audit_export, export
from webapp.web import chapters

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.rglob("*.md")], key=lambda path: path.relative_to(ROOT).parts
)
COMMANDS = [value for value in vars(cli).values() if isinstance(value, click.Command)]
COMMANDS_OF_IMAGES = {
    f"{group} {name}".strip(): command
    for group, commands in [
        ("", images.commands),
        *(
            (name, each.commands)
            for name, each in images.commands.items()
            if isinstance(each, click.Group)
        ),
    ]
    for name, command in commands.items()
    if not isinstance(command, click.Group)
}
OPTIONS = sorted(
    {
        name
        for command in COMMANDS
        for parameter in command.params
        for name in (*parameter.opts, parameter.envvar)
        if isinstance(name, str) and (name.startswith("--") or name.isupper())
    }
)


@cache
def tokens_of(path: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(path.read_text())


def documented_in(chapter: str) -> set[str]:
    """Return the code in the first column of the chapter's tables."""
    found: set[str] = set()
    column = 0
    for token in tokens_of(DOCS / f"{chapter}.md"):
        if token.type == "tr_open":
            column = 0
        elif token.type == "td_open":
            column += 1
        elif token.type == "inline" and column == 1:
            found |= {
                child.content for child in token.children or () if child.type == "code_inline"
            }
        elif token.type == "table_close":
            column = 0
    return found


def inline_code_of(chapter: str) -> set[str]:
    """Return every piece of inline code of the chapter."""
    return {
        child.content
        for token in tokens_of(DOCS / f"{chapter}.md")
        for child in token.children or ()
        if child.type == "code_inline"
    }


class RecordingEnvironment(dict[str, str]):
    """An environment that records which variables are read."""

    def __init__(self) -> None:
        super().__init__(ENVIRON)
        self.read: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)


def setting_names() -> list[str]:
    """Return the names of all environment variables that the application reads."""
    environ = RecordingEnvironment()
    settings.read_settings(environ)
    return sorted(environ.read)


def is_file_of_secret(name: str) -> bool:
    """Return whether a variable is the path of a file that contains another setting."""
    return name.endswith("_FILE") and name.removesuffix("_FILE") in settings.SECRETS


def demonstration_settings() -> list[str]:
    source = (ROOT / "sandbox" / "demo_server.py").read_text()
    return sorted(set(re.findall(r'(?:_port\(|environ\.get\()"([A-Z_]+)"', source)))


@pytest.mark.parametrize("name", setting_names())
def test_every_setting_is_described(name: str) -> None:
    assert name in (
        inline_code_of("settings") if is_file_of_secret(name) else documented_in("settings")
    )


def test_the_list_of_settings_is_complete() -> None:
    assert {"SECRET_KEY", "DATABASE_URL", "DATABASE_URL_FILE", "LOG_LEVEL"} <= set(setting_names())
    listed = [name for name in setting_names() if not is_file_of_secret(name)]
    assert len(documented_in("settings")) == len(listed)


@pytest.mark.parametrize("name", demonstration_settings())
def test_every_setting_of_the_demonstration_is_described(name: str) -> None:
    assert name in documented_in("demonstration")


def test_the_list_of_demonstration_settings_is_complete() -> None:
    assert demonstration_settings() == ["DATA_DIR", "PORT", "SANDBOX_PORT"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_is_described(command: click.Command) -> None:
    arguments = [
        (parameter.name or "").upper()
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    ]
    usage = " ".join([command.name or "", *arguments])
    assert usage in documented_in("operate")


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_a_command_is_described(option: str) -> None:
    assert option in inline_code_of("operate")


@pytest.mark.parametrize("name", sorted(COMMANDS_OF_IMAGES))
def test_every_command_of_images_is_described(name: str) -> None:
    command = COMMANDS_OF_IMAGES[name]
    described = documented_in("cli")
    arguments = [
        parameter.make_metavar(click.Context(command))
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    ]
    assert " ".join([name, *arguments]) in described
    options = {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert options <= {word for code in inline_code_of("cli") for word in code.split()}


@pytest.mark.parametrize("action", bulk_actions.ACTIONS)
def test_every_bulk_action_is_described(action: str) -> None:
    assert action in documented_in("cli")


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_of_images_is_described(code: ExitCode) -> None:
    assert str(code.value) in documented_in("cli")


@pytest.mark.parametrize("key", KEYS)
def test_every_search_token_is_described(key: Key) -> None:
    assert f"{key}:" in documented_in("searching")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (key, value)
        for key, values in FIXED_VALUES.items()
        for value in sorted(set(values.values()))
    ],
)
def test_every_value_of_a_search_token_is_described(key: Key, value: str) -> None:
    row = next(
        line
        for line in (DOCS / "searching.md").read_text().splitlines()
        if line.startswith(f"| `{key}:`")
    )
    assert f"`{value}`" in row


@pytest.mark.parametrize("key", audit_log_keys.KEYS)
def test_every_token_of_the_audit_log_is_described(key: audit_log_keys.Key) -> None:
    assert f"{key}:" in inline_code_of("roles")


@pytest.mark.parametrize("value", [*audit_log_keys.DID, *audit_log_keys.ON])
def test_every_action_and_kind_of_the_audit_log_is_described(value: str) -> None:
    assert value in inline_code_of("roles")


@pytest.mark.parametrize("column", audit_export.COLUMNS)
def test_every_column_of_an_export_of_the_audit_log_is_described(column: str) -> None:
    assert column in inline_code_of("roles")


@pytest.mark.parametrize("column", export.COLUMNS)
def test_every_column_of_an_export_is_described(column: str) -> None:
    assert column in documented_in("importing")


@pytest.mark.parametrize("role", Role)
def test_every_role_is_described(role: Role) -> None:
    assert role in documented_in("roles")


DOCUMENTED_RIGHTS = {
    Right.VIEW_IMAGES: "See images.",
    Right.EDIT_IMAGES: "register, edit, share, promote and delete images",
    Right.LIST_CREDENTIALS: "see and use credentials",
    Right.MANAGE_CREDENTIALS: "manage credentials",
    Right.MANAGE_MEMBERS: "members",
    Right.MANAGE_SCOPES: "the scopes below",
    Right.MANAGE_TOKENS: "tokens of the scope",
    Right.VIEW_AUDIT: "read the audit log",
    Right.STOP_JOBS: "stop the jobs of other people",
}
"""The words for each right in the row of the weakest role that has it."""


@pytest.mark.parametrize("right", Right)
def test_every_right_is_described_at_the_weakest_role_that_has_it(right: Right) -> None:
    words = DOCUMENTED_RIGHTS[right]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", (DOCS / "roles.md").read_text(), re.MULTILINE)
    found = [role for role, text in rows if role in list(Role) and words in text]
    assert found == [weakest_role_with(right)]


def test_the_lifetimes_of_sessions_are_described_and_explained() -> None:
    defaults = settings.read_settings(ENVIRON)
    text = (DOCS / "security.md").read_text()
    hours, days = defaults.session_idle_minutes // 60, defaults.session_days
    assert f"ends if it is not used for {hours} hours." in text
    assert f"Every session ends at the latest {days} days after the sign-in." in text
    _, _, reason = text.partition("### Lifetimes of sessions")
    assert "NIST SP 800-63B" in reason.partition("\n## ")[0]
    assert f"({defaults.confirm_minutes} minutes)" in reason


@pytest.mark.parametrize("status", [*LifeCycle, *(state.token for state in ImageState)])
def test_every_status_is_described(status: str) -> None:
    assert status in documented_in("life-cycle")


@pytest.mark.parametrize("cloud", list(CLOUDS.values()), ids=lambda cloud: cloud.key)
@pytest.mark.parametrize("chapter", ["clouds", "new-image"])
def test_every_cloud_is_described(chapter: str, cloud: webapp.clouds.base.Cloud) -> None:
    assert f"\n| {cloud.label} |" in (DOCS / f"{chapter}.md").read_text()


@pytest.mark.parametrize("key", list(CLOUDS))
@pytest.mark.parametrize("chapter", ["searching", "importing"])
def test_the_key_of_every_cloud_is_described(chapter: str, key: str) -> None:
    assert key in inline_code_of(chapter)


CONNECTING = re.compile(
    r"^\s*(?:import|from) (?:socket|ssl|requests|urllib3|smtplib|redis|psycopg|http\.client|httpx"
    r"|urllib\.request|botocore|boto3|openstack|keystoneauth1|azure|google|pyVmomi)\b",
    re.MULTILINE,
)
SERVICES = {
    "backup": {"PostgreSQL or PgBouncer"},
    "clouds": {cloud.label for cloud in CLOUDS.values()},
    "database": {"PostgreSQL or PgBouncer"},
    "mail": {"mail server"},
    "people": {"Redis"},
    "single_sign_on": {"identity providers", "providers of pipelines"},
    "web": {"METRICS_BIND"},
}
"""The services that a package connects to, or whose connections it accepts."""


def test_every_connection_is_described() -> None:
    files = (ROOT / "webapp").rglob("*.py")
    packages = {
        file.relative_to(ROOT / "webapp").parts[0]
        for file in files
        if CONNECTING.search(file.read_text())
    }
    assert packages == SERVICES.keys()
    chapter = (DOCS / "operate.md").read_text()
    section = chapter.partition("## Outgoing connections")[2].partition("\n## ")[0]
    for service in set[str]().union(*SERVICES.values()):
        assert service in section, service
    urls = {name for name in setting_names() if name.endswith("_URL")}
    for name in urls - {"PUBLIC_URL"}:
        assert f"`{name}`" in section, name


def links_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the kind and the target of each link and image: ('href' or 'src', target)."""
    for token in tokens_of(path):
        for child in token.children or ():
            for kind in ("href", "src"):
                if child.attrs.get(kind):
                    yield kind, str(child.attrs[kind])


def anchors_of(path: Path) -> set[str]:
    return {
        chapters.slug("".join(child.content for child in inline.children or ()))
        for token, inline in zip(tokens_of(path), tokens_of(path)[1:], strict=False)
        if token.type == "heading_open"
    }


ASVS = """
1.1 2 1.2 9 1.3 11 1.4 3 1.5 2 2.1 3 2.2 3 2.3 4 2.4 1 3.2 2 3.3 4 3.4 6 3.5 5 3.7 2 4.1 3 4.2 1
4.3 2 4.4 4 5.1 1 5.2 3 5.3 2 5.4 3 6.1 3 6.2 12 6.3 4 6.4 4 6.5 5 6.6 3 6.8 4 7.1 3 7.2 4 7.3 2
7.4 5 7.5 2 7.6 2 8.1 2 8.2 3 8.3 1 8.4 1 9.1 3 9.2 4 10.1 2 10.2 2 10.3 4 10.4 11 10.5 5 10.6 2
10.7 3 11.1 2 11.2 3 11.3 3 11.4 4 11.5 1 11.6 1 12.1 3 12.2 2 12.3 4 13.1 1 13.2 5 13.3 2 13.4 5
14.1 2 14.2 4 14.3 3 15.1 3 15.2 3 15.3 7 16.1 1 16.2 5 16.3 4 16.4 3 16.5 3 17.1 1 17.2 4 17.3 2
"""
"""Each section of OWASP ASVS 5.0, and how many of its requirements have the level 1 or 2."""


def test_every_requirement_of_asvs_is_described_once() -> None:
    numbers = ASVS.split()
    required = {
        f"V{section}.{number}"
        for section, count in zip(numbers[::2], numbers[1::2], strict=True)
        for number in range(1, int(count) + 1)
    }
    cells = re.findall(r"^\| (V[\d., toV]+) \|", (DOCS / "security.md").read_text(), re.MULTILINE)
    described = []
    for part in ", ".join(cells).split(", "):
        first, _, last = part.partition(" to ")
        section, _, low = first.rpartition(".")
        high = (last or first).rpartition(".")[2]
        described += [f"{section}.{number}" for number in range(int(low), int(high) + 1)]
    assert len(required) == 253
    assert sorted(described) == sorted(required)


def test_every_test_that_the_documentation_names_exists() -> None:
    names = re.findall(r"`((?:tests|e2e)/[\w/]+\.py)::(\w+)`", (DOCS / "security.md").read_text())
    assert len(names) > 150
    missing = {
        f"{path}::{name}"
        for path, name in names
        if not (ROOT / path).exists()
        or not re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
    }
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for _, target in links_of(page):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.is_file(), target
        assert file.is_relative_to(ROOT.resolve()), target
        assert not anchor or anchor in anchors_of(file), target


@pytest.mark.parametrize("name", chapters.NAMES)
def test_help_chapters_link_only_to_each_other(name: str) -> None:
    for kind, target in links_of(DOCS / f"{name}.md"):
        assert kind == "href", f"{target}: the help shows no images"
        file = target.partition("#")[0]
        assert not file or file.removesuffix(".md") in chapters.NAMES, target


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_every_chapter_is_in_the_table_of_contents(page: Path) -> None:
    contents = DOCS / "README.md"
    assert page == contents or page.name in {target for _, target in links_of(contents)}


def test_every_picture_is_used() -> None:
    used = {
        (page.parent / target).resolve()
        for page in PAGES
        for kind, target in links_of(page)
        if kind == "src"
    }
    assert set((DOCS / "images").resolve().iterdir()) == used


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_changelog_describes_the_current_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(
        rf"^## \[{re.escape(webapp.__version__)}\] - \d{{4}}-", changelog, re.MULTILINE
    )


def test_the_license_matches_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def bold_texts(chapter: str) -> set[str]:
    """Return the bold texts of a chapter, which name parts of the interface."""
    found = set()
    for token in tokens_of(DOCS / f"{chapter}.md"):
        texts: list[str] | None = None
        for child in token.children or ():
            if child.type == "strong_open":
                texts = []
            elif child.type == "strong_close" and texts is not None:
                found.add("".join(texts))
                texts = None
            elif texts is not None:
                texts.append(child.content)
    return found


@cache
def interface_source() -> str:
    """Return the source of everything that may contain interface text."""
    folder = ROOT / "webapp"
    paths = [*folder.rglob("*.html"), *folder.rglob("*.py")]
    return "\n".join(path.read_text() for path in paths)


@pytest.mark.parametrize("name", chapters.NAMES)
def test_every_part_of_the_interface_that_the_help_names_exists(name: str) -> None:
    missing = {text for text in bold_texts(name) if text not in interface_source()}
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_named_exists(page: Path) -> None:
    folders = (
        "bench|cli|deploy|docs|e2e|migrations|requirements|sandbox|schema|scripts|tests|webapp"
    )
    for token in tokens_of(page):
        for child in token.children or ():
            if child.type == "code_inline" and re.fullmatch(
                rf"({folders})/[\w./-]*", child.content
            ):
                assert (ROOT / child.content).exists(), child.content


def test_architecture_describes_each_package() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = config["contracts"][0]["layers"]
    modules = [name.strip() for layer in layers for name in layer.split("|")]
    names = {each.replace(".", "/") for each in modules}
    table, picture = (
        (ROOT / "docs" / each).read_text() for each in ("architecture.md", "images/layers.svg")
    )
    folders = {f"webapp/{path.parent.name}" for path in ROOT.glob("webapp/*/__init__.py")}
    assert folders <= names
    for name in names:
        path = name if (ROOT / name).is_dir() else f"{name}.py"
        assert f">{path}<" in picture, f"{path} is not in the picture"
        assert f"| `{path}" in table, f"{path} is not in the table"
