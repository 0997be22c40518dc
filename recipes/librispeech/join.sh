#!/usr/bin/env bash
# Two manifests of the same folder as one: join.sh ONE OTHER OUT
set -euo pipefail
LC_ALL=C sort "$1" "$2" > "$3.part"
mv "$3.part" "$3"
