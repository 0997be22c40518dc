#!/usr/bin/env bash
# Mini LibriSpeech: 5.3 hours of read English train, two speakers of train-clean-100 develop, two others test. The word
# language model is of books that are not read in any of them.
set -euo pipefail
options="[--text FILE] [--more-speakers] "
source "$(dirname "$0")/../stages.sh"
source recipes/librispeech/material.sh
exp=exp/librispeech/${which}seed$seed

stage 7 $data/${which}doctor/doctor.json asr doctor $train $data/{dev,test}.jsonl \
    --config recipes/librispeech/conf/blstm.yaml --out $data/${which}doctor "${overrides[@]:1}"  # the seed changes nothing
stage 8 "$exp/model/SHA256SUMS" asr train --config recipes/librispeech/conf/blstm.yaml \
    --train $train --dev $data/dev.jsonl --out "$exp" "${overrides[@]}"
stage 9 "$exp/decode/test/decode.json" asr decode --model "$exp/model" --manifest $data/test.jsonl
stage 10 "$exp/decode/test/result.json" asr score $data/test.jsonl "$exp/decode/test/hyp.jsonl"
ngram 11
stage 12 "$exp/model/decode.yaml" asr decode --tune --model "$exp/model" --lm $lm --manifest $data/dev.jsonl
stage 13 "$exp/decode/test-lm/decode.json" asr decode --model "$exp/model" --lm $lm --manifest $data/test.jsonl \
    --out "$exp/decode/test-lm"
stage 14 "$exp/decode/test-lm/result.json" asr score $data/test.jsonl "$exp/decode/test-lm/hyp.jsonl" \
    --against "$exp/decode/test/hyp.jsonl"
rescored --lm $lm
exit $status
