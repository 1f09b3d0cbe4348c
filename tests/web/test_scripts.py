"""Scripts show text as text. See also the Content-Security-Policy in `webapp.web.security`."""

from __future__ import annotations

import re

from tests.served import ROOT

SCRIPTS = ROOT / "webapp" / "static"
SINKS = re.compile(
    r"(innerHTML\s*[+=]|outerHTML\s*[+=]|insertAdjacentHTML|createContextualFragment|DOMParser"
    r"|setHTMLUnsafe|srcdoc|document\.write|\beval\(|new Function|setAttribute\(\s*[\"']on).*"
)
"""JavaScript that can turn a text into elements or scripts."""
FRAGMENTS = {
    # Fragments of this server, whose texts it has escaped.
    "search.js: innerHTML = await response.text();",
    "search.js: innerHTML = html;",
    # The former content of the same button.
    "app.js: innerHTML = button.dataset.idle;",
}


def test_scripts_insert_only_fragments_that_the_server_has_escaped() -> None:
    scripts = sorted(SCRIPTS.glob("*.js"))
    assert len(scripts) >= len({each.partition(":")[0] for each in FRAGMENTS})
    found = {
        f"{script.name}: {match[0].strip()}"
        for script in scripts
        for match in SINKS.finditer(script.read_text())
    }
    assert found == FRAGMENTS


def test_templates_do_not_turn_escaping_off() -> None:
    templates = sorted((ROOT / "webapp" / "templates").rglob("*.html"))
    assert len(templates) > 100
    for template in templates:
        text = template.read_text()
        assert not re.search(r"\|\s*safe\b|autoescape\s+false|Markup\(", text), template.name
