#!/usr/bin/env bash
# The dictionary WORDS, but A is the letter (EY) first and the article (AH) last: letter_a.sh WORDS OUT
set -euo pipefail
awk '$1 ~ /^A(\(|$)/ && $NF !~ /^EY/ { held = held $0 "\n"; next } { print } END { printf "%s", held }' "$1" > "$2.part"
mv "$2.part" "$2"
