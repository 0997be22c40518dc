#!/usr/bin/env bash
# Strings of three to seven digits, joined from FSDD's recordings: where every word begins and ends is known.
set -euo pipefail
options="[--leave-out SPEAKER] "
source "$(dirname "$0")/../stages.sh"
single=data/fsdd split=()
if [ ${#rest[@]} -gt 0 ]; then
    if [ "${rest[0]}" != --leave-out ] || [ ${#rest[@]} -ne 2 ]; then wrong_usage; fi
    single=data/fsdd-without-${rest[1]} split=("${rest[@]}")
fi
data=${single/fsdd/fsdd-connected} exp=exp/${single#data/}-connected/seed$seed

stage 1 "$corpora/free-spoken-digit-dataset" asr data download fsdd --to "$corpora"
stage 2 "$single/test.jsonl" asr data prepare fsdd --from "$corpora" --out "$single" ${split[@]+"${split[@]}"}
stage 3 "$data/train.jsonl" asr data connect "$single/train.jsonl" --copies 3 --out "$data/train.jsonl"
stage 4 "$data/dev.jsonl" asr data connect "$single/dev.jsonl" --copies 3 --out "$data/dev.jsonl"
stage 5 "$data/test.jsonl" asr data connect "$single/test.jsonl" --out "$data/test.jsonl"
stage 6 "$data/doctor/doctor.json" asr doctor "$data"/{train,dev,test}.jsonl --config recipes/fsdd/conf/connected.yaml \
    --out "$data/doctor" "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 7 "$exp/model/SHA256SUMS" asr train --threads 1 --config recipes/fsdd/conf/connected.yaml \
    --train "$data/train.jsonl" --dev "$data/dev.jsonl" --out "$exp" "${overrides[@]}"
stage 8 "$exp/decode/test/decode.json" asr decode --model "$exp/model" --manifest "$data/test.jsonl"
stage 9 "$exp/decode/test/result.json" asr score "$data/test.jsonl" "$exp/decode/test/hyp.jsonl"
stage 10 "$exp/lm/2gram.safetensors" asr lm train --order 2 --text "$data/train.jsonl" --out "$exp/lm/2gram.safetensors"
stage 11 "$exp/model/decode.yaml" asr decode --tune --model "$exp/model" --lm "$exp/lm/2gram.safetensors" \
    --manifest "$data/dev.jsonl"
stage 12 "$exp/decode/test-lm/decode.json" asr decode --model "$exp/model" --lm "$exp/lm/2gram.safetensors" \
    --manifest "$data/test.jsonl" --out "$exp/decode/test-lm"
stage 13 "$exp/decode/test-lm/result.json" asr score "$data/test.jsonl" "$exp/decode/test-lm/hyp.jsonl" \
    --against "$exp/decode/test/hyp.jsonl"
exit $status
