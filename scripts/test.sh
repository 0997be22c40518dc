#!/usr/bin/env bash
# Installs everything, then lints, type-checks and tests. Arguments go to pytest: bash scripts/test.sh -k ctc
set -euo pipefail
cd "$(dirname "$0")/.."
extras=dev,demo
source scripts/venv.sh
ruff check .
ruff format --check .
mypy
pytest "$@"
