#!/usr/bin/env bash
# AN4 over phones: the network writes what it hears, the lexicon says which words sound so.
set -euo pipefail
source "$(dirname "$0")/../stages.sh"
data=data/an4 exp=exp/an4/phones-seed$seed lm=exp/an4/lm words=$corpora/cmudict dictionary=exp/an4/lm/dictionary.txt
overrides=("${overrides[0]}" "tokens.dictionary=$dictionary" "${overrides[@]:1}")

shared 1 "$corpora/an4" asr data download an4 --to "$corpora"
shared 2 $data/test.jsonl asr data prepare an4 --from "$corpora" --out $data
# The words are those of the training transcripts; how they follow each other, and how English is spelled, is the model's.
shared 3 $lm/spelled.txt recipes/an4/spell.sh "$words" $lm/spelled.txt
shared 4 $lm/5gram.safetensors asr lm train --order 5 --text $data/train.jsonl --text $lm/spelled.txt --out $lm/5gram.safetensors
# Nobody says the article here: A is a letter.
shared 5 $dictionary recipes/an4/letter_a.sh "$words" $dictionary
shared 6 $lm/lexicon.txt asr lexicon --dictionary $dictionary --lm $lm/5gram.safetensors --out $lm/lexicon.txt

stage 7 $data/doctor-phones/doctor.json asr doctor $data/{train,dev,test}.jsonl --config recipes/an4/conf/phones.yaml \
    --out $data/doctor-phones "${overrides[@]:1}"  # without the seed, which changes nothing here
stage 8 $exp/model/SHA256SUMS asr train --threads 1 --config recipes/an4/conf/phones.yaml \
    --train $data/train.jsonl --dev $data/dev.jsonl --out $exp "${overrides[@]}"
lexicon=(--lexicon $lm/lexicon.txt) heard=$exp/decode/test-spelled
# By what the training transcripts tell of the order of words, then with how words are spelled beside.
shared 9 $lm/transcripts.safetensors asr lm train --order 5 --text $data/train.jsonl --out $lm/transcripts.safetensors
with=(--lm $lm/transcripts.safetensors "${lexicon[@]}")
stage 10 $exp/model/decode.yaml asr decode --tune --model $exp/model "${with[@]}" --manifest $data/dev.jsonl
stage 11 $exp/decode/test/decode.json asr decode --model $exp/model "${with[@]}" --manifest $data/test.jsonl
stage 12 $exp/decode/test/result.json asr score $data/test.jsonl $exp/decode/test/hyp.jsonl
with=(--lm $lm/5gram.safetensors "${lexicon[@]}")
stage 13 $exp/model/decode.yaml asr decode --tune --model $exp/model "${with[@]}" --manifest $data/dev.jsonl
stage 14 $heard/decode.json asr decode --model $exp/model "${with[@]}" --manifest $data/test.jsonl --out $heard
stage 15 $heard/result.json asr score $data/test.jsonl $heard/hyp.jsonl --against $exp/decode/test/hyp.jsonl
exit $status
