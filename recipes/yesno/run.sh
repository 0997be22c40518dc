#!/usr/bin/env bash
# yesno: one speaker says eight times yes or no in Hebrew; half of the 60 recordings train, the other half tests.
set -euo pipefail
source "$(dirname "$0")/../stages.sh"
data=data/yesno exp=exp/yesno/seed$seed

stage 1 "$corpora/waves_yesno" asr data download yesno --to "$corpora"
stage 2 $data/test.jsonl asr data prepare yesno --from "$corpora" --out $data
stage 3 $data/doctor/doctor.json asr doctor $data/{train,dev,test}.jsonl --config recipes/yesno/conf/blstm.yaml \
    --out $data/doctor "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 4 $exp/model/SHA256SUMS asr train --threads 1 --config recipes/yesno/conf/blstm.yaml \
    --train $data/train.jsonl --dev $data/dev.jsonl --out $exp "${overrides[@]}"
stage 5 $exp/decode/test/decode.json asr decode --model $exp/model --manifest $data/test.jsonl
stage 6 $exp/decode/test/result.json asr score $data/test.jsonl $exp/decode/test/hyp.jsonl
exit $status
