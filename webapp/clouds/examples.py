"""Examples that use an image in other tools, and the quoting rules of their languages.

A value in an example can be any text, such as the name of a template. The functions of this module
return it as a literal, so that no tool interprets a part of it.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A text to copy into a terminal or a file. `tool` is the name of the tool that reads it."""

    tool: str
    text: str


def command(*words: str) -> str:
    """Return a command of a POSIX shell."""
    return shlex.join(words)


def hcl(text: str) -> str:
    """Return a string of Terraform's language. `${` and `%{` begin no template."""
    return _json(text).replace("${", "$${").replace("%{", "%%{")


def packer(text: str) -> str:
    """Return a string of Packer's language, in which `{{` begins no action."""
    return hcl(text.replace("{{", "{{`{{`}}"))


def yaml(text: str) -> str:
    """Return a string in YAML that Ansible does not read as a template."""
    is_template = any(start in text for start in ("{{", "{%", "{#"))
    return ("!unsafe " if is_template else "") + _json(text)


def _json(text: str) -> str:
    """Return a JSON string. The other languages understand its escapes too.

    Characters beyond ASCII stay, because these languages have no surrogates. Some of these
    characters are not allowed in YAML, but `displayable` has removed them from names.
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def block(header: str, **values: str | list[str]) -> str:
    """Return a block of Terraform's language. The values are already quoted."""
    width = max(len(name) for name in values)
    lines = []
    for name, value in values.items():
        text = f"[{', '.join(value)}]" if isinstance(value, list) else value
        lines.append(f"  {name.ljust(width)} = {text}")
    return "\n".join((f"{header} {{", *lines, "}"))


def task(name: str, module: str, *lines: str) -> str:
    """Return a task of Ansible. `lines` are the arguments of its module."""
    return "\n".join((f"- name: {name}", f"  {module}:", *(f"    {line}" for line in lines)))
