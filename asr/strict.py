"""Strict types for configs, and their mistakes as sentences."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, ValidationError


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def refuse_idle(config: BaseModel, names: Iterable[str], why: str, remedy: str) -> None:
    """Refuses keys that were changed though nothing would read them, which is a mistake that a run would not tell.

    Args:
        config: whose keys they are.
        names: of the keys.
        why: nothing would read them; the beginning of the sentence.
        remedy: its end.

    Raises:
        ValueError: names those that are not at their defaults.
    """
    fields = type(config).model_fields
    changed = [name for name in names if getattr(config, name) != fields[name].default]
    if changed:
        raise ValueError(f"{why}, so {' and '.join(changed)} would mean nothing: {remedy}")


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += _known_keys(field.annotation, f"{prefix}{name}.")
    return keys


def explain(error: ValidationError, source: str, model: type[BaseModel]) -> str:
    """One sentence a mistake: the key, what was seen, what was needed, the nearest valid key of ``model``."""
    sentences = []
    for mistake in error.errors():
        key = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            known = _known_keys(model)
            elsewhere = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
            near = get_close_matches(key, elsewhere, cutoff=0) or get_close_matches(key, known)
            sentences.append(f"there is no key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        else:
            reason = mistake["msg"].removeprefix("Value error, ")
            seen = "" if isinstance(mistake["input"], dict) else f" (seen: {mistake['input']!r})"
            sentences.append(f"{key}: {reason}{seen}" if key else reason)
    return f"{source}: " + "; ".join(sentences)
