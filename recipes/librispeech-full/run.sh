#!/usr/bin/env bash
# LibriSpeech: 100 or 960 hours of read English train, dev-clean and dev-other develop, test-clean and test-other test.
set -euo pipefail
arguments="100|960 " options="[--text FILE] "
source "$(dirname "$0")/../stages.sh"
size=${rest[0]:-} parts=(train-clean-100)
case $size in
    100) conf=recipes/librispeech-full/conf/100.yaml ;;
    960) conf=recipes/librispeech-full/conf/960.yaml parts+=(train-clean-360 train-other-500) ;;
    *) wrong_usage ;;
esac
last_part=${parts[${#parts[@]} - 1]} manifests=("${parts[@]/%/.jsonl}") text=$corpora/librispeech-lm-norm.txt.gz
data=data/librispeech-$size exp=exp/librispeech-$size/seed$seed lm=exp/lm/librispeech-$size-4gram.safetensors
if [ ${#rest[@]} -eq 3 ] && [ "${rest[1]}" = --text ]; then text=$(named "${rest[2]}")
elif [ ${#rest[@]} -ne 1 ]; then wrong_usage
elif [ ! -e "$text" ]; then text=$data/train.jsonl; echo "note: the language model is of the transcripts" >&2; fi

stage 1 "$corpora/LibriSpeech/$last_part" asr data download librispeech --parts "$size" --to "$corpora"
stage 2 "$data/$last_part.jsonl" asr data prepare librispeech --parts "$size" --from "$corpora" --out "$data"
stage 3 "$data/dev.jsonl" asr data combine "$data"/dev-{clean,other}.jsonl --out "$data/dev.jsonl"
stage 4 "$data/train.jsonl" asr data combine "${manifests[@]/#/$data/}" --out "$data/train.jsonl"
stage 5 "$data/doctor/doctor.json" asr doctor "$data"/{train,dev,test-clean,test-other}.jsonl --config $conf \
    --out "$data/doctor" "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 6 "$exp/model/SHA256SUMS" asr train --config $conf --train "$data/train.jsonl" --dev "$data/dev.jsonl" \
    --out "$exp" "${overrides[@]}"
number=7
for set in test-clean test-other; do
    stage $((number++)) "$exp/decode/$set/decode.json" asr decode --model "$exp/model" --manifest "$data/$set.jsonl"
    stage $((number++)) "$exp/decode/$set/result.json" asr score "$data/$set.jsonl" "$exp/decode/$set/hyp.jsonl"
done
stage 11 "$lm" asr lm train --order 4 --vocabulary 200000 --prune 0,0,1,1 --text "$text" --out "$lm"
stage 12 "$exp/model/decode.yaml" asr decode --tune --model "$exp/model" --lm "$lm" --manifest "$data/dev.jsonl"
number=13
for set in test-clean test-other; do
    stage $((number++)) "$exp/decode/$set-lm/decode.json" asr decode --model "$exp/model" --lm "$lm" \
        --manifest "$data/$set.jsonl" --out "$exp/decode/$set-lm"
    stage $((number++)) "$exp/decode/$set-lm/result.json" asr score "$data/$set.jsonl" "$exp/decode/$set-lm/hyp.jsonl" \
        --against "$exp/decode/$set/hyp.jsonl"
done
exit $status
