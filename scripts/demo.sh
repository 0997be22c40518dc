#!/usr/bin/env bash
# From nothing to a recogniser: installs, synthesises spoken digits, trains, prints the WER report, transcribes a file.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=demo
source scripts/venv.sh
recipes/spoken-digits/run.sh
model=exp/spoken-digits/seed1/model
audio=data/spoken-digits/audio/test/test-00000.wav
echo
echo "transcribe-audio --model $model $audio"
transcribe-audio --model "$model" "$audio"
echo
echo "The report to look at is exp/spoken-digits/seed1/decode/test/report.html, the receipt result.json beside it."
