#!/usr/bin/env bash
# The packaged model's network as run.sh trained it, with all that the books tell: what is too large to come along.
set -euo pipefail
options="[--text FILE] "
source "$(dirname "$0")/../stages.sh"
model=exp/english/seed$seed/model
rest+=(--more-speakers)
source recipes/librispeech/material.sh
if [ ! -e "$model/SHA256SUMS" ]; then echo "there is no $model: run recipes/english/run.sh first" >&2; exit 1; fi
heard=exp/english/seed$seed/decode/test-lm lexicon=exp/lm/librispeech-lexicon.txt

ngram 7
shared 8 $lexicon asr lexicon --dictionary "$corpora/cmudict" --g2p exp/g2p/model --lm $lm --out $lexicon
with=(--lm $lm --lexicon $lexicon)
stage 9 "$model/decode.yaml" asr decode --tune --model "$model" "${with[@]}" --beam 512 --manifest $data/dev.jsonl
stage 10 "$heard/decode.json" asr decode --model "$model" "${with[@]}" --manifest $data/test.jsonl --out "$heard"
stage 11 "$heard/result.json" asr score $data/test.jsonl "$heard/hyp.jsonl"
exit $status
