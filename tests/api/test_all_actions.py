"""The table of all actions in docs/api.md: it has every page, operation and command."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
from flask import Flask
from markdown_it import MarkdownIt

from images_cli.main import images
from models import Level
from webapp.api.operations import OPERATIONS
from webapp.web.scope_paths import PREFIXES

CHAPTER = Path(__file__).parents[2] / "docs" / "api.md"
HEADING = "All actions"


@dataclass(frozen=True)
class Row:
    """A row of the table. A page is a method and a path."""

    action: str
    pages: tuple[tuple[str, str], ...]
    operations: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    note: str


@cache
def table_rows() -> list[Row]:
    """Return the rows of the first table after the heading."""
    tokens = MarkdownIt("commonmark").enable("table").parse(CHAPTER.read_text())
    texts = [each.content for each in tokens]
    first = texts.index(HEADING)
    rows: list[list[tuple[str, tuple[str, ...]]]] = []
    for token in tokens[first:]:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            children = token.children or ()
            codes = tuple(each.content for each in children if each.type == "code_inline")
            rows[-1].append((token.content, codes))
    return [
        Row(
            action=action[0],
            pages=tuple(found for code in pages[1] for found in _requests(code)),
            operations=tuple(found for code in operations[1] for found in _requests(code)),
            commands=commands[1],
            note=note[0],
        )
        for action, pages, operations, commands, note in rows[1:]
    ]


def _requests(code: str) -> list[tuple[str, str]]:
    """Return the methods and the path in a text such as `GET, POST /images`."""
    *methods, path = code.split()
    return [(method.rstrip(","), path) for method in methods]


def page_paths(app: Flask) -> set[tuple[str, str]]:
    """Return the method and the path of each page of a scope, without the path of the scope."""
    found = set()
    for rule in app.url_map.iter_rules():
        blueprint = rule.endpoint.partition(".")[0]
        if blueprint not in set(Level):
            continue
        path = rule.rule.removeprefix(PREFIXES[Level(blueprint)])
        named = re.sub(r"<(?:[^>]*:)?(\w+)>", r"{\1}", path)
        found |= {(method, named) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return found


def operation_paths() -> set[tuple[str, str]]:
    return {
        (
            each.method,
            ("…" if each.levels else "") + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", each.path),
        )
        for each in OPERATIONS
    }


def command_names() -> set[str]:
    groups = {name: each for name, each in images.commands.items() if isinstance(each, click.Group)}
    return {
        *(images.commands.keys() - groups.keys()),
        *(f"{group} {name}" for group, each in groups.items() for name in each.commands),
    }


def test_every_page_is_in_one_row(app: Flask) -> None:
    listed = Counter(page for row in table_rows() for page in row.pages)
    assert set(listed) == page_paths(app)
    assert [page for page, count in listed.items() if count > 1] == []


def test_every_operation_is_in_the_table() -> None:
    assert {each for row in table_rows() for each in row.operations} == operation_paths()


def test_every_command_is_in_the_table() -> None:
    assert {each for row in table_rows() for each in row.commands} == command_names()


def test_an_action_without_an_operation_or_a_command_has_a_reason() -> None:
    without = [row for row in table_rows() if not (row.operations and row.commands)]
    assert len(table_rows()) > 50
    assert [row.action for row in without if len(row.note) < 20] == []
