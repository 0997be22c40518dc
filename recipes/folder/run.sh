#!/usr/bin/env bash
# Your own recordings: a folder of name.wav (or flac, mp3, ...) beside name.txt; subfolders are speakers.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/../.."
arguments="FOLDER "
source recipes/stages.sh
if [ ${#rest[@]} -ne 1 ]; then echo "$usage" >&2; exit 2; fi
recordings=$(cd "$here" && realpath "${rest[0]}")
name=$(basename "$recordings")
data=data/folder/$name exp=exp/folder/$name/seed$seed

stage 1 "$data/test.jsonl" asr data from-folder "$recordings" --out "$data"
stage 2 "$exp/model/SHA256SUMS" asr train --config recipes/folder/conf/blstm.yaml \
    --train "$data/train.jsonl" --dev "$data/dev.jsonl" --out "$exp" seed="$seed" "${overrides[@]}"
stage 3 "$exp/decode/test/hyp.jsonl" asr decode --model "$exp/model" --manifest "$data/test.jsonl"
stage 4 "$exp/decode/test/result.json" asr score "$data/test.jsonl" "$exp/decode/test/hyp.jsonl"
exit $status
