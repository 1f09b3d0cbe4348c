"""Examples of how to use an image in tools such as Terraform, and the tools' quoting rules.

A value in an example can be any text, such as the name of an image. The functions of this module
quote the value, so that no tool interprets a part of the value as code.
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
    """Return `text` as a string of HCL, the language of Terraform and Packer.

    `${` and `%{` are escaped, because they begin a template.
    """
    return _json(text).replace("${", "$${").replace("%{", "%%{")


def packer(text: str) -> str:
    """Return `text` as a string for Packer, which also reads templates that begin with `{{`."""
    return hcl(text.replace("{{", "{{`{{`}}"))


def yaml(text: str) -> str:
    """Return `text` as a YAML string that Ansible does not read as a template."""
    is_template = any(start in text for start in ("{{", "{%", "{#"))
    return ("!unsafe " if is_template else "") + _json(text)


def _json(text: str) -> str:
    """Return `text` as a JSON string, which is also a string of HCL and of YAML.

    Characters outside ASCII are not escaped, because HCL and YAML do not understand the surrogate
    pairs of JSON. YAML does not allow some of these characters, but `displayable` in
    `webapp.values.text` has removed them from names.
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def block(header: str, **values: str | list[str]) -> str:
    """Return a block of HCL. The values are already quoted."""
    width = max(len(name) for name in values)
    lines = []
    for name, value in values.items():
        text = f"[{', '.join(value)}]" if isinstance(value, list) else value
        lines.append(f"  {name.ljust(width)} = {text}")
    return "\n".join((f"{header} {{", *lines, "}"))


def task(name: str, module: str, *lines: str) -> str:
    """Return an Ansible task. `lines` are the arguments of its module."""
    return "\n".join((f"- name: {name}", f"  {module}:", *(f"    {line}" for line in lines)))
