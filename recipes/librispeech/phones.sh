#!/usr/bin/env bash
# Mini LibriSpeech over phones: the network writes what it hears, the lexicon says which words sound so. Words that the
# dictionary lacks are pronounced by a grapheme-to-phoneme model, trained on the dictionary.
set -euo pipefail
options="[--all-speakers] "
source "$(dirname "$0")/../stages.sh"
data=data/librispeech lm=exp/lm/librispeech-4gram.safetensors books=exp/lm/librispeech-lstm
train=$data/train-clean-5.jsonl exp=exp/librispeech/phones-seed$seed
if [ "${rest[*]+${rest[*]}}" = --all-speakers ]; then
    train=$data/train-all.jsonl exp=exp/librispeech/phones-all-seed$seed
elif [ ${#rest[@]} -gt 0 ]; then wrong_usage; fi
dictionary=$corpora/cmudict lexicon=exp/lm/librispeech-lexicon.txt others=$data/others.jsonl

# The corpus, dev and test, the two language models: as in run.sh, which does not repeat what is done.
if [ "$first" -eq 1 ]; then recipes/librispeech/run.sh --stop-stage 4; fi
stage 5 $others asr data select $data/train-clean-100.jsonl --not-speakers 4088,4406,5652,8226 --out $others
stage 6 $data/train-all.jsonl asr data combine $data/train-clean-5.jsonl $others --out $data/train-all.jsonl
stage 7 exp/g2p/model/SHA256SUMS asr g2p train --threads 1 --dictionary "$dictionary" --out exp/g2p
stage 8 $exp/model/SHA256SUMS asr train --threads 1 --config recipes/librispeech/conf/phones.yaml --train $train \
    --dev $data/dev.jsonl --out $exp tokens.dictionary="$dictionary" "${overrides[@]}"
if [ "$last" -gt 8 ]; then for number in 9 13 14; do recipes/librispeech/run.sh --stage $number --stop-stage $number; done; fi
stage 9 $lexicon asr lexicon --dictionary "$dictionary" --g2p exp/g2p/model --lm $lm --out $lexicon
with=(--lm $lm --lexicon $lexicon)
stage 10 $exp/model/decode.yaml asr decode --tune --model $exp/model "${with[@]}" --manifest $data/dev.jsonl
stage 11 $exp/decode/test-lm/decode.json asr decode --model $exp/model "${with[@]}" --manifest $data/test.jsonl \
    --out $exp/decode/test-lm
stage 12 $exp/decode/test-lm/result.json asr score $data/test.jsonl $exp/decode/test-lm/hyp.jsonl
# The n best of that search once more, by an LSTM language model of the same text.
with+=(--rescore $books/model)
stage 13 $exp/model/decode.yaml asr decode --tune --model $exp/model "${with[@]}" --manifest $data/dev.jsonl
stage 14 $exp/decode/test-lstm/decode.json asr decode --model $exp/model "${with[@]}" --manifest $data/test.jsonl \
    --out $exp/decode/test-lstm
stage 15 $exp/decode/test-lstm/result.json asr score $data/test.jsonl $exp/decode/test-lstm/hyp.jsonl \
    --against $exp/decode/test-lm/hyp.jsonl
exit $status
