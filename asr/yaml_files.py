"""YAML as this project reads and writes it: safely, and with 1e-3 as a number."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from asr.errors import UsageError
from asr.files import read_text


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but 1e-3 is a number."""


class _Dumper(yaml.SafeDumper):
    """Quotes a string that `_Loader` would take for a number."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )


def parse_yaml(text: str) -> Any:
    """What a text holds.

    Raises:
        yaml.YAMLError, ValueError: it is not YAML.
    """
    return yaml.load(text, Loader=_Loader)  # a SafeLoader


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping (an empty file counts as one).

    Raises:
        UsageError: not YAML, or not a mapping; gives the line.
    """
    try:
        fields = parse_yaml(read_text(path))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2024-13-01 is YAML for a date, but there is none
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where}: not YAML ({getattr(error, 'problem', error)})") from error
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise UsageError(f"{path}: a config is a mapping of keys to values, this is a {type(fields).__name__}")
    return fields


def to_yaml(fields: dict[str, Any]) -> str:
    """YAML in the order given; what `read_yaml` reads back."""
    return yaml.dump(fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
