#!/usr/bin/env bash
# Compares settings of AN4 by people whom no model heard: of the 74 training speakers ten are left out, twice, and what they
# say is decoded by a model and the transcripts of the others. Test is not touched. It may be stopped and started again at
# any time: what has a receipt is not repeated. Started once a core, the folds are shared out (by flock, which Linux has).
#
#   scripts/folds_an4.sh NAME [KEY=VALUE ...]    scripts/folds_an4.yaml with these overrides; a new name for each
#   scripts/folds_an4.sh                         prints docs/folds_an4.md from the receipts that are there
#
# Needs data/an4 and exp/an4/lm, which recipes/an4/phones.sh --stop-stage 6 makes.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
receipts=recipes/an4/results/folds
# Three women and seven men each, drawn by chance.
people=(fejs,ftal,ffmm,mbmg,mfaa,mtos,mdmc,mjgk,mmdg,mtxj fwxs,fnsv,fclc,mcfl,msrb,mewl,mdxs,mmtm,mnjl,mmaf)

# material FOLD: its manifests, language model and lexicon
material() {
    local data=data/an4-folds/$1
    asr data combine data/an4/{train,dev}.jsonl --out "$data/all.jsonl"
    asr data select "$data/all.jsonl" --speakers "${people[$1 - 1]}" --out "$data/dev.jsonl"
    asr data select "$data/all.jsonl" --not-in "$data/dev.jsonl" --out "$data/train.jsonl"
    asr lm train --order 5 --text "$data/train.jsonl" --out "$data/lm.safetensors"
    asr lexicon --dictionary exp/an4/lm/dictionary.txt --lm "$data/lm.safetensors" --out "$data/lexicon.txt"
}

# run NAME FOLD OVERRIDES...: trained, its search tuned, decoded, scored, and its receipt stored
run() {
    local data=data/an4-folds/$2 folder=exp/an4-folds/$1/$2 kept=$receipts/$1/fold$2
    local held with=(--lm "$data/lm.safetensors" --lexicon "$data/lexicon.txt" --manifest "$data/dev.jsonl" --threads 1)
    echo "$1, fold $2"
    mkdir -p data/an4-folds
    exec {held}> "data/an4-folds/$2.lock"
    flock $held
    if [ ! -e "$data/lexicon.txt" ]; then material "$2"; fi
    exec {held}>&-
    asr train --threads 1 --config scripts/folds_an4.yaml --train "$data/train.jsonl" --dev "$data/dev.jsonl" \
        --out "$folder" "${@:3}"
    asr decode --tune --model "$folder/model" "${with[@]}"
    asr decode --model "$folder/model" "${with[@]}"
    asr score "$data/dev.jsonl" "$folder/decode/dev/hyp.jsonl"
    cp "$folder/decode/dev/hyp.trn" "$kept.trn"
    cp "$folder/decode/dev/ref.trn" "$receipts/ref$2.trn"
    cp "$folder/decode/dev/result.json" "$kept.json"
}

if [ $# -gt 0 ]; then
    mkdir -p "exp/an4-folds/$1" "$receipts/$1"
    for fold in 1 2; do
        if [ -e "$receipts/$1/fold$fold.json" ]; then continue; fi
        exec {lock}> "exp/an4-folds/$1/fold$fold.lock"
        if flock -n $lock; then run "$1" $fold "${@:2}"; fi
        exec {lock}>&-
    done
else
    names=(third)  # scripts/folds_an4.yaml as it is
    for done in "$receipts"/*/fold2.json; do
        name=$(basename "$(dirname "$done")")
        if [ "$name" != third ] && [ -e "$receipts/$name/fold1.json" ]; then names+=("$name"); fi
    done
    python scripts/table_an4.py $receipts "${names[@]}"
fi
