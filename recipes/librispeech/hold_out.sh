#!/usr/bin/env bash
# Every 200th line of TEXT goes to DEV, the others to TRAIN: hold_out.sh TEXT TRAIN DEV
set -euo pipefail
awk -v train="$2.part" -v dev="$3.part" '{ print > (NR % 200 ? train : dev) }' "$1"
mv "$2.part" "$2"
mv "$3.part" "$3"
