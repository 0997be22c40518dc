#!/usr/bin/env bash
# AN4: spelled names, addresses, dates and numbers; 74 speakers train (eight of them develop), ten others test.
set -euo pipefail
options="[--words FILE] "
source "$(dirname "$0")/../stages.sh"
words=$corpora/cmudict  # a word a line, whatever stands behind it: how English is spelled, letter by letter
if [ ${#rest[@]} -gt 0 ]; then
    if [ "${rest[0]}" != --words ] || [ ${#rest[@]} -ne 2 ]; then wrong_usage; fi
    words=$(named "${rest[1]}")
fi
data=data/an4 exp=exp/an4/seed$seed lm=$exp/lm/5gram.safetensors text=(--text $data/train.jsonl)
if [ -e "$words" ]; then text+=(--text $exp/lm/spelled.txt); else echo "note: there is no $words to be spelled" >&2; fi

stage 1 "$corpora/an4" asr data download an4 --to "$corpora"
stage 2 $data/test.jsonl asr data prepare an4 --from "$corpora" --out $data
stage 3 $data/doctor/doctor.json asr doctor $data/{train,dev,test}.jsonl --config recipes/an4/conf/blstm.yaml \
    --out $data/doctor "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 4 $exp/model/SHA256SUMS asr train --config recipes/an4/conf/blstm.yaml \
    --train $data/train.jsonl --dev $data/dev.jsonl --out $exp "${overrides[@]}"
stage 5 $exp/decode/test/decode.json asr decode --model $exp/model --manifest $data/test.jsonl
stage 6 $exp/decode/test/result.json asr score $data/test.jsonl $exp/decode/test/hyp.jsonl

# With a language model of the training transcripts and of spelled words; its weights are found on dev.
if [ -e "$words" ]; then
    stage 7 $exp/lm/spelled.txt recipes/an4/spell.sh "$words" $exp/lm/spelled.txt
fi
stage 8 $lm asr lm train --order 5 "${text[@]}" --out $lm
stage 9 $exp/model/decode.yaml asr decode --tune --model $exp/model --lm $lm --manifest $data/dev.jsonl
stage 10 $exp/decode/test-lm/decode.json asr decode --model $exp/model --lm $lm --manifest $data/test.jsonl \
    --out $exp/decode/test-lm
stage 11 $exp/decode/test-lm/result.json asr score $data/test.jsonl $exp/decode/test-lm/hyp.jsonl \
    --against $exp/decode/test/hyp.jsonl
exit $status
