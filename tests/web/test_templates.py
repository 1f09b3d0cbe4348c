"""The names that templates use: each is known, documented, and means only one thing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import Environment, meta, nodes

VIEWS = Path(__file__).parents[2] / "webapp"
LAYOUT = {
    *("actor", "scope", "may", "bookmarks", "current_path", "demonstration"),
    *("fragment", "bookmark_label", "background", "partial"),
    *("request", "session", "g", "config"),
}
"""The names that `render` and Flask pass to every template."""


@pytest.fixture
def env(session_app: Flask) -> Environment:
    return session_app.jinja_env


def source_of(env: Environment, name: str) -> str:
    assert env.loader is not None
    return env.loader.get_source(env, name)[0]


def documentation(env: Environment, name: str, seen: set[str] | None = None) -> str:
    """Return the opening comment of a template, and of the templates that the comment names."""
    seen = {name} if seen is None else seen | {name}
    text = source_of(env, name).partition("#}")[0]
    folder = name.rpartition("/")[0]
    found = re.findall(r"[\w/]+\.html", text)
    named = {each if "/" in each else f"{folder}/{each}" for each in found} - seen
    return text + "".join(documentation(env, each, seen) for each in sorted(named))


def defined_names(tree: nodes.Template) -> set[str]:
    """Return the names that a template itself defines: imports, macros and variables."""
    names = {node.name for node in tree.find_all(nodes.Macro)}
    names |= {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    for node in tree.find_all(nodes.FromImport):
        names |= {each if isinstance(each, str) else each[1] for each in node.names}
    return names


def templates(env: Environment) -> list[str]:
    return [each for each in env.list_templates(extensions=["html"]) if "/" in each]


def test_every_name_of_a_template_is_known_or_documented(env: Environment) -> None:
    unknown = {}
    for name in templates(env):
        tree = env.parse(source_of(env, name))
        names = meta.find_undeclared_variables(tree) - defined_names(tree)
        names -= env.globals.keys() | LAYOUT
        words = set(re.findall(r"\w+", documentation(env, name)))
        if names - words:
            unknown[name] = names - words
    assert not unknown


def test_no_variable_has_the_name_of_a_global(env: Environment) -> None:
    """A template in which the variable is missing would show the global."""
    shadowed = []
    for name in templates(env):
        names = defined_names(env.parse(source_of(env, name)))
        shadowed += [(name, each) for each in names & (env.globals.keys() | LAYOUT - {"partial"})]
    for path in VIEWS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "render":
                passed = {keyword.arg for keyword in node.keywords}
                shadowed += [(path.name, str(each)) for each in passed & env.globals.keys()]
    assert not shadowed
