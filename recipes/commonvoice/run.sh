#!/usr/bin/env bash
# Common Voice: sentences read by volunteers, in the language of your choice; the publisher's train, dev and test.
set -euo pipefail
arguments="LANG " options="[--from ARCHIVE|FOLDER] [--text FILE] "
source "$(dirname "$0")/../stages.sh"
if [ ${#rest[@]} -eq 0 ] || [[ ! ${rest[0]} =~ ^[A-Za-z][A-Za-z0-9-]+$ ]]; then wrong_usage; fi
lang=${rest[0]} from=$corpora conf=recipes/commonvoice/conf/blstm.yaml
data=data/commonvoice-$lang exp=exp/commonvoice-$lang/seed$seed
lm=$exp/lm/4gram.safetensors text=(--text "$data/train.jsonl")
for ((place = 1; place < ${#rest[@]}; place += 2)); do
    given=${rest[$place + 1]:-}
    case "${rest[$place]} $given" in
        "--from "?*) from=$(named "$given") ;;
        "--text "?*) text+=(--text "$(named "$given")") ;;
        *) wrong_usage ;;
    esac
done

stage 1 "$data/test.jsonl" asr data prepare commonvoice --lang "$lang" --from "$from" --out "$data"
stage 2 "$data/doctor/doctor.json" asr doctor "$data"/{train,dev,test}.jsonl --config $conf \
    --out "$data/doctor" "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 3 "$exp/model/SHA256SUMS" asr train --config $conf --train "$data/train.jsonl" --dev "$data/dev.jsonl" \
    --out "$exp" "${overrides[@]}"
stage 4 "$exp/decode/test/decode.json" asr decode --model "$exp/model" --manifest "$data/test.jsonl"
stage 5 "$exp/decode/test/result.json" asr score "$data/test.jsonl" "$exp/decode/test/hyp.jsonl"
# With a language model of the training sentences, and of your text if you have any; its weights are found on dev.
stage 6 "$lm" asr lm train --order 4 "${text[@]}" --normalise basic --out "$lm"
stage 7 "$exp/model/decode.yaml" asr decode --tune --model "$exp/model" --lm "$lm" --manifest "$data/dev.jsonl"
stage 8 "$exp/decode/test-lm/decode.json" asr decode --model "$exp/model" --lm "$lm" --manifest "$data/test.jsonl" \
    --out "$exp/decode/test-lm"
stage 9 "$exp/decode/test-lm/result.json" asr score "$data/test.jsonl" "$exp/decode/test-lm/hyp.jsonl" \
    --against "$exp/decode/test/hyp.jsonl"
exit $status
