#!/usr/bin/env bash
# Synthetic speech: strings of one to seven digits; the voices and accents of the test set are not in the training set.
set -euo pipefail
source "$(dirname "$0")/../stages.sh"
data=data/spoken-digits exp=exp/spoken-digits/seed$seed

stage 1 $data/test.jsonl asr data prepare spoken-digits --out $data
stage 2 $data/doctor/doctor.json asr doctor $data/{train,dev,test}.jsonl --config recipes/spoken-digits/conf/blstm.yaml \
    --out $data/doctor "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 3 $exp/model/SHA256SUMS asr train --threads 1 --config recipes/spoken-digits/conf/blstm.yaml \
    --train $data/train.jsonl --dev $data/dev.jsonl --out $exp "${overrides[@]}"
stage 4 $exp/decode/test/decode.json asr decode --model $exp/model --manifest $data/test.jsonl
stage 5 $exp/decode/test/result.json asr score $data/test.jsonl $exp/decode/test/hyp.jsonl
exit $status
