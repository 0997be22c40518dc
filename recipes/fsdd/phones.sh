#!/usr/bin/env bash
# Free Spoken Digit Dataset over phones, for speakers who are not in train: other throats, an even floor under
# each recording, each speaker normalised by all that he says, and words by a lexicon of the ten digits.
set -euo pipefail
options="[--leave-out SPEAKER] "
source "$(dirname "$0")/../stages.sh"
data=data/fsdd split=() dictionary=$corpora/cmudict
if [ ${#rest[@]} -gt 0 ]; then
    if [ "${rest[0]}" != --leave-out ] || [ ${#rest[@]} -ne 2 ]; then wrong_usage; fi
    data=data/fsdd-without-${rest[1]} split=("${rest[@]}")
fi
exp=exp/${data#data/}/phones-seed$seed lexicon=exp/fsdd/lexicon.txt
overrides=("${overrides[0]}" "tokens.dictionary=$dictionary" "${overrides[@]:1}")

stage 1 "$corpora/free-spoken-digit-dataset" asr data download fsdd --to "$corpora"
stage 2 "$data/test.jsonl" asr data prepare fsdd --from "$corpora" --out "$data" ${split[@]+"${split[@]}"}
shared 3 $lexicon asr lexicon --dictionary "$dictionary" --words recipes/fsdd/digits.txt --out $lexicon
stage 4 "$data/doctor-phones/doctor.json" asr doctor "$data"/{train,dev,test}.jsonl --out "$data/doctor-phones" \
    --config recipes/fsdd/conf/phones.yaml "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 5 "$exp/model/SHA256SUMS" asr train --threads 1 --config recipes/fsdd/conf/phones.yaml \
    --train "$data/train.jsonl" --dev "$data/dev.jsonl" --out "$exp" "${overrides[@]}"
stage 6 "$exp/decode/test/decode.json" asr decode --model "$exp/model" --lexicon $lexicon --manifest "$data/test.jsonl"
stage 7 "$exp/decode/test/result.json" asr score "$data/test.jsonl" "$exp/decode/test/hyp.jsonl"
exit $status
