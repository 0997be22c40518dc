#!/usr/bin/env bash
# Mini LibriSpeech: 5.3 hours of read English train, two speakers of train-clean-100 develop, two others test. The word
# language model is of books that are not read in any of them.
set -euo pipefail
options="[--text FILE] "
source "$(dirname "$0")/../stages.sh"
text=$corpora/public-domain-books.txt
if [ ${#rest[@]} -gt 0 ]; then
    if [ "${rest[0]}" != --text ] || [ ${#rest[@]} -ne 2 ]; then wrong_usage; fi
    text=$(named "${rest[1]}")
fi
data=data/librispeech exp=exp/librispeech/seed$seed lm=exp/lm/librispeech-4gram.safetensors

stage 1 "$corpora/LibriSpeech" asr data download librispeech --parts train-clean-5,train-clean-100 --to "$corpora"
stage 2 $data/train-clean-100.jsonl asr data prepare librispeech --from "$corpora" --out $data
stage 3 $data/dev.jsonl asr data select $data/train-clean-100.jsonl --speakers 4088,4406 --out $data/dev.jsonl
stage 4 $data/test.jsonl asr data select $data/train-clean-100.jsonl --speakers 5652,8226 --out $data/test.jsonl
stage 5 $data/doctor/doctor.json asr doctor $data/{train-clean-5,dev,test}.jsonl --config recipes/librispeech/conf/blstm.yaml \
    --out $data/doctor "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 6 $exp/model/SHA256SUMS asr train --config recipes/librispeech/conf/blstm.yaml \
    --train $data/train-clean-5.jsonl --dev $data/dev.jsonl --out $exp "${overrides[@]}"
stage 7 $exp/decode/test/decode.json asr decode --model $exp/model --manifest $data/test.jsonl
stage 8 $exp/decode/test/result.json asr score $data/test.jsonl $exp/decode/test/hyp.jsonl
stage 9 $lm asr lm train --order 4 --vocabulary 200000 --prune 0,0,1,1 --text "$text" --out $lm
stage 10 $exp/model/decode.yaml asr decode --tune --model $exp/model --lm $lm --manifest $data/dev.jsonl
stage 11 $exp/decode/test-lm/decode.json asr decode --model $exp/model --lm $lm --manifest $data/test.jsonl \
    --out $exp/decode/test-lm
stage 12 $exp/decode/test-lm/result.json asr score $data/test.jsonl $exp/decode/test-lm/hyp.jsonl \
    --against $exp/decode/test/hyp.jsonl
# The n best of that search once more, by an LSTM language model of the same text.
books=exp/lm/librispeech-lstm with=(--lm $lm --rescore $books/model)
stage 13 exp/lm/librispeech-dev.txt recipes/librispeech/hold_out.sh "$text" exp/lm/librispeech-{train,dev}.txt
stage 14 $books/model/SHA256SUMS asr lm train-lstm --text exp/lm/librispeech-train.txt --dev exp/lm/librispeech-dev.txt \
    --out $books minutes=55 dropout=0
stage 15 $exp/model/decode.yaml asr decode --tune --model $exp/model "${with[@]}" --manifest $data/dev.jsonl
stage 16 $exp/decode/test-lstm/decode.json asr decode --model $exp/model "${with[@]}" --manifest $data/test.jsonl \
    --out $exp/decode/test-lstm
stage 17 $exp/decode/test-lstm/result.json asr score $data/test.jsonl $exp/decode/test-lstm/hyp.jsonl \
    --against $exp/decode/test-lm/hyp.jsonl
exit $status
