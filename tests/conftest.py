"""Settings for every test."""

from __future__ import annotations

from asr.runtime import wait_without_spinning

wait_without_spinning()  # before any test imports torch
