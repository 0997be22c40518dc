#!/usr/bin/env bash
# Your own recordings: a folder of name.wav (or flac, mp3, ...) beside name.txt; subfolders are speakers.
set -euo pipefail
arguments="FOLDER "
source "$(dirname "$0")/../stages.sh"
if [ ${#rest[@]} -ne 1 ] || [[ ${rest[0]} = -* ]]; then wrong_usage; fi
recordings=$(cd "$here" && cd "${rest[0]}" 2> /dev/null && pwd) || { echo "${rest[0]}: there is no such folder" >&2; exit 2; }
name=$(basename "$recordings")
data=data/folder/$name exp=exp/folder/$name/seed$seed

# Recordings that are newer than the manifests make stage 1 run again.
previous=$(find -L "$recordings" -newer "$data/.1-splits.json.done" -print -quit 2> /dev/null || true)
stage 1 "$data/splits.json" asr data from-folder "$recordings" --out "$data"
stage 2 "$data/doctor/doctor.json" asr doctor "$data"/{train,dev,test}.jsonl --config recipes/folder/conf/blstm.yaml \
    --out "$data/doctor" "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 3 "$exp/model/SHA256SUMS" asr train --config recipes/folder/conf/blstm.yaml \
    --train "$data/train.jsonl" --dev "$data/dev.jsonl" --out "$exp" "${overrides[@]}"
stage 4 "$exp/decode/test/decode.json" asr decode --model "$exp/model" --manifest "$data/test.jsonl"
stage 5 "$exp/decode/test/result.json" asr score "$data/test.jsonl" "$exp/decode/test/hyp.jsonl"
exit $status
