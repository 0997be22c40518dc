#!/usr/bin/env bash
# Mini LibriSpeech over phones: the network writes what it hears, the lexicon says which words sound so. Words that the
# dictionary lacks are pronounced by a grapheme-to-phoneme model, trained on the dictionary.
set -euo pipefail
options="[--all-speakers] "
source "$(dirname "$0")/../stages.sh"
text=$corpora/public-domain-books.txt data=data/librispeech lm=exp/lm/librispeech-4gram.safetensors
train=$data/train-clean-5.jsonl exp=exp/librispeech/phones-seed$seed
if [ ${#rest[@]} -gt 0 ]; then
    if [ "${rest[*]}" != --all-speakers ]; then wrong_usage; fi
    train=$data/train-all.jsonl exp=exp/librispeech/phones-all-seed$seed
fi
dictionary=$corpora/cmudict lexicon=exp/lm/librispeech-lexicon.txt books=exp/lm/librispeech-lstm

stage 1 "$corpora/LibriSpeech" asr data download librispeech --parts train-clean-5,train-clean-100 --to "$corpora"
stage 2 $data/train-clean-100.jsonl asr data prepare librispeech --from "$corpora" --out $data
stage 3 $data/dev.jsonl asr data select $data/train-clean-100.jsonl --speakers 4088,4406 --out $data/dev.jsonl
stage 4 $data/test.jsonl asr data select $data/train-clean-100.jsonl --speakers 5652,8226 --out $data/test.jsonl
stage 5 $data/others.jsonl asr data select $data/train-clean-100.jsonl --not-speakers 4088,4406,5652,8226 \
    --out $data/others.jsonl
stage 6 $data/train-all.jsonl recipes/librispeech/join.sh $data/train-clean-5.jsonl $data/others.jsonl \
    $data/train-all.jsonl
stage 7 exp/g2p/model/SHA256SUMS asr g2p train --threads 1 --dictionary "$dictionary" --out exp/g2p
stage 8 $exp/model/SHA256SUMS asr train --threads 1 --config recipes/librispeech/conf/phones.yaml \
    --train $train --dev $data/dev.jsonl --out $exp tokens.dictionary="$dictionary" "${overrides[@]}"
stage 9 $lm asr lm train --order 4 --vocabulary 200000 --prune 0,0,1,1 --text "$text" --out $lm
stage 10 $lexicon asr lexicon --dictionary "$dictionary" --g2p exp/g2p/model --lm $lm --out $lexicon
with=(--lm $lm --lexicon $lexicon)
stage 11 $exp/model/decode.yaml asr decode --tune --model $exp/model "${with[@]}" --manifest $data/dev.jsonl
stage 12 $exp/decode/test-lm/decode.json asr decode --model $exp/model "${with[@]}" --manifest $data/test.jsonl \
    --out $exp/decode/test-lm
stage 13 $exp/decode/test-lm/result.json asr score $data/test.jsonl $exp/decode/test-lm/hyp.jsonl
# The n best of that search once more, by an LSTM language model of the same text.
stage 14 exp/lm/librispeech-dev.txt recipes/librispeech/hold_out.sh "$text" exp/lm/librispeech-{train,dev}.txt
stage 15 $books/model/SHA256SUMS asr lm train-lstm --text exp/lm/librispeech-train.txt --dev exp/lm/librispeech-dev.txt \
    --out $books minutes=55 dropout=0
with+=(--rescore $books/model)
stage 16 $exp/model/decode.yaml asr decode --tune --model $exp/model "${with[@]}" --manifest $data/dev.jsonl
stage 17 $exp/decode/test-lstm/decode.json asr decode --model $exp/model "${with[@]}" --manifest $data/test.jsonl \
    --out $exp/decode/test-lstm
stage 18 $exp/decode/test-lstm/result.json asr score $data/test.jsonl $exp/decode/test-lstm/hyp.jsonl \
    --against $exp/decode/test-lm/hyp.jsonl
exit $status
