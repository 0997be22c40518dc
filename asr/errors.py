"""The errors a user sees: one sentence that says what, where, what was seen and what to do."""

from __future__ import annotations


class AsrError(Exception):
    """Something failed for a reason the user can act on; the command line prints the sentence and exits with 1."""

    exit_status = 1


class UsageError(AsrError):
    """The command or the config was wrong; nothing was begun, and the exit status is 2."""

    exit_status = 2
