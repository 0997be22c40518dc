#!/usr/bin/env bash
# Mini LibriSpeech over phones: the network writes what it hears, the lexicon says which words sound so. Words that the
# dictionary lacks are pronounced by a grapheme-to-phoneme model, trained on the dictionary.
set -euo pipefail
options="[--text FILE] [--more-speakers] "
source "$(dirname "$0")/../stages.sh"
source recipes/librispeech/material.sh
exp=exp/librispeech/phones-${which}seed$seed dictionary=$corpora/cmudict lexicon=exp/lm/librispeech-lexicon.txt
overrides=("${overrides[0]}" "tokens.dictionary=$dictionary" "${overrides[@]:1}")

shared 7 exp/g2p/model/SHA256SUMS asr g2p train --threads 1 --dictionary "$dictionary" --out exp/g2p
ngram 8
shared 9 $lexicon asr lexicon --dictionary "$dictionary" --g2p exp/g2p/model --lm $lm --out $lexicon
stage 10 $data/${which}doctor-phones/doctor.json asr doctor $train $data/{dev,test}.jsonl \
    --config recipes/librispeech/conf/phones.yaml --out $data/${which}doctor-phones "${overrides[@]:1}"  # the seed changes nothing
stage 11 "$exp/model/SHA256SUMS" asr train --threads 1 --config recipes/librispeech/conf/phones.yaml \
    --train $train --dev $data/dev.jsonl --out "$exp" "${overrides[@]}"
with=(--lm $lm --lexicon $lexicon) heard=$exp/decode/test-lm
stage 12 "$exp/model/decode.yaml" asr decode --tune --model "$exp/model" "${with[@]}" --manifest $data/dev.jsonl
stage 13 "$heard/decode.json" asr decode --model "$exp/model" "${with[@]}" --manifest $data/test.jsonl --out "$heard"
stage 14 "$heard/result.json" asr score $data/test.jsonl "$heard/hyp.jsonl"
rescored "${with[@]}"
exit $status
