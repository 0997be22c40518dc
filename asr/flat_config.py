"""Configs without parts, as those of small models are: checked, and read off a command line."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from asr.errors import UsageError
from asr.strict import Strict, explain

Flat = TypeVar("Flat", bound=Strict)


def parse_flat(kind: type[Flat], fields: dict[str, Any], source: str, strict: bool = True) -> Flat:
    """Checks the keys and values of a config without parts.

    ``strict=False`` takes the strings of a command line for numbers.

    Raises:
        UsageError: an unknown key or a wrong value; names ``source``, the key and the nearest valid one.
    """
    try:
        return kind.model_validate(fields, strict=strict)
    except ValidationError as error:
        raise UsageError(explain(error, source, kind)) from error


def flat_config(kind: type[Flat], overrides: list[str] | None) -> Flat:
    """The defaults of a config without parts, with ``key=value`` overrides of a command line.

    Raises:
        UsageError: see `parse_flat`.
    """
    fields: dict[str, Any] = {}
    for assignment in overrides or []:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise UsageError(f"{assignment!r}: an override is written key=value, as in hidden=256")
        fields[key] = value
    return parse_flat(kind, fields, " ".join(overrides or []) or "the defaults", strict=False)
