#!/usr/bin/env bash
# The English model that comes with the package: all English speech of the other recipes trains it, their development and
# test speakers do not. Its language model and lexicon are small enough to come along.
set -euo pipefail
options="[--text FILE] "
source "$(dirname "$0")/../stages.sh"
rest+=(--more-speakers)
source recipes/librispeech/material.sh
exp=exp/english/seed$seed lm=exp/english/lm.safetensors lexicon=exp/english/lexicon.txt dictionary=$corpora/cmudict
overrides=("${overrides[0]}" "tokens.dictionary=$dictionary" "${overrides[@]:1}")
english=data/english digits=data/english/fsdd

shared 7 "$corpora/an4" asr data download an4 --to "$corpora"
shared 8 data/an4/test.jsonl asr data prepare an4 --from "$corpora" --out data/an4
shared 9 "$corpora/free-spoken-digit-dataset" asr data download fsdd --to "$corpora"
shared 10 $digits/test.jsonl asr data prepare fsdd --from "$corpora" --out $digits
shared 11 $english/train.jsonl asr data combine $train {data/an4,$digits}/train.jsonl --out $english/train.jsonl
shared 12 $english/dev.jsonl asr data combine {$data,data/an4,$digits}/dev.jsonl --out $english/dev.jsonl
shared 13 $lm asr lm train --order 3 --vocabulary 40000 --size 5.8 --text "$text" --text data/an4/train.jsonl --out $lm
shared 14 exp/g2p/model/SHA256SUMS asr g2p train --threads 1 --dictionary "$dictionary" --out exp/g2p
small=exp/english/g2p  # comes along, for hotwords
shared 15 $small/model/SHA256SUMS asr g2p train --threads 1 --dictionary "$dictionary" --out $small layers=1 hidden=128
shared 16 $lexicon asr lexicon --dictionary "$dictionary" --g2p exp/g2p/model --lm $lm --out $lexicon
stage 17 $english/doctor/doctor.json asr doctor $english/{train,dev}.jsonl --config recipes/english/conf/blstm.yaml \
    --out $english/doctor "${overrides[@]:1}"  # the seed changes nothing
training=(asr train --threads 2 --config recipes/english/conf/blstm.yaml
    --train $english/train.jsonl --dev $english/dev.jsonl)
stage 18 "$exp/first/model/SHA256SUMS" "${training[@]}" --out "$exp/first" "${overrides[@]}"
# Twice more from there, with less and less that disturbs; apart, because each of the three is as much as one sitting holds.
again=(train.warmup_epochs=0.3 train.epochs=10 train.average=2)
second=("${overrides[0]}" train.initial="$exp/first/model" train.learning_rate=0.0012 train.chunk_share=0.3
    augment.reverberation_probability=0.15 augment.coloured_noise_probability=0.2 augment.codec_probability=0.2)
stage 19 "$exp/second/model/SHA256SUMS" "${training[@]}" --out "$exp/second" "${again[@]}" "${second[@]}" "${overrides[@]:1}"
third=(seed=$((seed + 100)) train.initial="$exp/second/model" train.learning_rate=0.001 train.chunk_share=0.2  # draws anew
    augment.reverberation_probability=0.1 augment.coloured_noise_probability=0.15 augment.codec_probability=0.15)
stage 20 "$exp/model/SHA256SUMS" "${training[@]}" --out "$exp" "${again[@]}" "${third[@]}" "${overrides[@]:1}"
with=(--lm $lm --lexicon $lexicon --beam 512)
stage 21 "$exp/model/decode.yaml" asr decode --tune --model "$exp/model" "${with[@]}" --manifest $data/dev.jsonl
stage 22 "$exp/packaged/decode.yaml" asr export --int8 --model "$exp/model" --g2p $small/model --out "$exp/packaged"
exit $status
