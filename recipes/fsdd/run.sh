#!/usr/bin/env bash
# Free Spoken Digit Dataset: ten digits, six speakers; the official split, or one speaker left out of training.
set -euo pipefail
options="[--leave-out SPEAKER] "
source "$(dirname "$0")/../stages.sh"
data=data/fsdd split=()
if [ ${#rest[@]} -gt 0 ]; then
    if [ "${rest[0]}" != --leave-out ] || [ ${#rest[@]} -ne 2 ]; then wrong_usage; fi
    data=data/fsdd-without-${rest[1]} split=("${rest[@]}")
fi
exp=exp/${data#data/}/seed$seed

stage 1 "$corpora/free-spoken-digit-dataset" asr data download fsdd --to "$corpora"
stage 2 "$data/test.jsonl" asr data prepare fsdd --from "$corpora" --out "$data" ${split[@]+"${split[@]}"}
stage 3 "$data/doctor/doctor.json" asr doctor "$data"/{train,dev,test}.jsonl --config recipes/fsdd/conf/blstm.yaml \
    --out "$data/doctor" "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 4 "$exp/model/SHA256SUMS" asr train --threads 1 --config recipes/fsdd/conf/blstm.yaml \
    --train "$data/train.jsonl" --dev "$data/dev.jsonl" --out "$exp" "${overrides[@]}"
stage 5 "$exp/decode/test/decode.json" asr decode --model "$exp/model" --manifest "$data/test.jsonl"
stage 6 "$exp/decode/test/result.json" asr score "$data/test.jsonl" "$exp/decode/test/hyp.jsonl"
exit $status
