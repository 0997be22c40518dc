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

# With a language model of the training transcripts; its weights are found on the development speakers.
stage 6 $exp/lm/3gram.safetensors asr lm train --order 3 --text $data/train.jsonl --out $exp/lm/3gram.safetensors
stage 7 $exp/model/decode.yaml asr decode --tune --model $exp/model --lm $exp/lm/3gram.safetensors \
    --manifest $data/dev.jsonl
stage 8 $exp/decode/test-lm/decode.json asr decode --model $exp/model --lm $exp/lm/3gram.safetensors \
    --manifest $data/test.jsonl --out $exp/decode/test-lm
stage 9 $exp/decode/test-lm/result.json asr score $data/test.jsonl $exp/decode/test-lm/hyp.jsonl \
    --against $exp/decode/test/hyp.jsonl
exit $status
