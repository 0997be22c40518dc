"""What ``--help`` prints is what was written: square brackets are markup to rich, which leaves them out silently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from asr.cli.main import app


def commands(command: Any, name: str = "asr") -> Iterator[tuple[str, Any]]:
    yield name, command
    for one, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{name} {one}")


ALL = list(commands(typer.main.get_command(app)))


def test_every_command_is_looked_at() -> None:
    assert {"asr train", "asr decode", "asr lm train", "asr data prepare"} <= {name for name, _ in ALL}


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_no_help_loses_a_word(name: str, command: Any) -> None:
    texts = [command.help or ""] + [getattr(parameter, "help", "") or "" for parameter in command.params]
    assert all(texts), f"{name}: an option without a word of help"
    assert [text for text in texts if "[" in text] == []
