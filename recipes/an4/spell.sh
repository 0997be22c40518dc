#!/usr/bin/env bash
# The words of the first column of WORDS, each spelled letter by letter on a line of its own: spell.sh WORDS OUT
set -euo pipefail
awk '$1 ~ /^[A-Z]+$/ && length($1) > 2 { gsub(/./, "& ", $1); print $1 }' "$1" | LC_ALL=C sort -u > "$2.part"
mv "$2.part" "$2"
