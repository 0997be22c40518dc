#!/usr/bin/env bash
# The packaged model's network as run.sh trained it, with all that the books tell: what is too large to come along.
set -euo pipefail
options="[--text FILE] "
source "$(dirname "$0")/../stages.sh"
if [ ${#overrides[@]} -gt 1 ]; then echo "$0 trains nothing: give KEY=VALUE to recipes/english/run.sh" >&2; exit 2; fi
rest+=(--more-speakers) trained=exp/english/seed$seed/model maker=recipes/english/run.sh
source recipes/librispeech/material.sh
# A copy, for the package takes the search of run.sh.
model=exp/english/seed$seed/books heard=exp/english/seed$seed/decode/test-lm lexicon=exp/lm/librispeech-lexicon.txt

ngram 7
shared 8 $lexicon asr lexicon --dictionary "$corpora/cmudict" --g2p exp/g2p/model --lm $lm --out $lexicon
with=(--lm $lm --lexicon $lexicon)
stage 9 "$model/SHA256SUMS" cp -R "$trained/." "$model"
stage 10 "$model/decode.yaml" asr decode --tune --model "$model" "${with[@]}" --beam 512 --manifest $data/dev.jsonl
stage 11 "$heard/decode.json" asr decode --model "$model" "${with[@]}" --manifest $data/test.jsonl --out "$heard"
stage 12 "$heard/result.json" asr score $data/test.jsonl "$heard/hyp.jsonl"
exit $status
