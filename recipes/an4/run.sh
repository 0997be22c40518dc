#!/usr/bin/env bash
# AN4: spelled names, addresses, dates and numbers; 74 speakers train (eight of them develop), ten others test.
set -euo pipefail
source "$(dirname "$0")/../stages.sh"
data=data/an4 exp=exp/an4/seed$seed

stage 1 "$corpora/an4" asr data download an4 --to "$corpora"
stage 2 $data/test.jsonl asr data prepare an4 --from "$corpora" --out $data
stage 3 $exp/model/SHA256SUMS asr train --config recipes/an4/conf/blstm.yaml \
    --train $data/train.jsonl --dev $data/dev.jsonl --out $exp "${overrides[@]}"
stage 4 $exp/decode/test/decode.json asr decode --model $exp/model --manifest $data/test.jsonl
stage 5 $exp/decode/test/result.json asr score $data/test.jsonl $exp/decode/test/hyp.jsonl
exit $status
