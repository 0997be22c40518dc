#!/usr/bin/env bash
# Trains small AN4 models that differ from each other in one thing, decodes dev with each, prints the tables of
# docs/an4_*.md and draws docs/an4_tables.svg. It may be stopped and started again at any time: what has a receipt is not
# repeated. Every run keeps to one core; started once a core, the runs are shared out (by flock, which Linux has).
#
#   scripts/tables_an4.sh [cells|regularisers|augmentation|encoders]...    default: all of them
#
# Needs data/an4 and exp/an4/lm, which recipes/an4/phones.sh --stop-stage 6 makes.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
data=data/an4 lm=exp/an4/lm out=exp/tables receipts=recipes/an4/results/tables
choices=(cells regularisers augmentation encoders)
fixed=(--lm $lm/5gram.safetensors --lexicon $lm/lexicon.txt --lm-weight 0.6 --word-bonus -1 --beam 16)

# run NAME SEED OVERRIDES...: trained, decoded, scored, and its receipt stored
run() {
    local name=$1 seed=$2 folder=$out/$1/seed$2
    shift 2
    echo "$name, seed $seed"
    asr train --threads 1 --config scripts/tables_an4.yaml --train $data/train.jsonl --dev $data/dev.jsonl --out "$folder" \
        seed="$seed" "$@"
    asr decode --threads 1 --model "$folder/model" "${fixed[@]}" ${more[@]+"${more[@]}"} --manifest $data/dev.jsonl
    asr score $data/dev.jsonl "$folder/decode/dev/hyp.jsonl"
    cp "$folder/decode/dev/hyp.trn" "$receipts/$name/seed$seed.trn"
    cp "$folder/decode/dev/ref.trn" $receipts/ref.trn
    cp "$folder/decode/dev/result.json" "$receipts/$name/seed$seed.json"
}

# system NAME OVERRIDES...: two seeds of it; the first of a table is what the others are held against
system() {
    local name=$1 seed
    names+=("$name")
    mkdir -p "$out/$name" "$receipts/$name"
    for seed in 1 2; do
        if [ -e "$receipts/$name/seed$seed.json" ]; then continue; fi
        exec {lock}> "$out/$name/seed$seed.lock"
        if flock -n $lock; then
            if [ ! -e "$receipts/$name/seed$seed.json" ]; then run "$name" $seed "${@:2}"; fi
        else
            elsewhere=yes
        fi
        exec {lock}>&-
    done
}

# Widths that make up for what a cell has more or fewer of: all within 0.6 % of the LSTM's 1,761,320 parameters.
cells() {
    system lstm
    system rnn encoder.cell=rnn encoder.hidden=335
    system gru encoder.cell=gru encoder.hidden=187
    system peephole encoder.cell=peephole
    system projected encoder.cell=projected encoder.hidden=208
    system layernorm encoder.cell=layernorm
}

regularisers() {
    system lstm
    system no-dropout encoder.dropout=0
    system locked-dropout encoder.dropout_kind=locked
    system weight-dropout encoder.weight_dropout=0.2
    system no-weight-decay train.weight_decay=0
    system label-smoothing train.label_smoothing=0.05
    system intermediate train.intermediate='[2]'
    system letters train.letters_weight=0.3
    system no-average train.average=1
    system moving-average train.average=1 train.ema=0.998
    system layer-norm encoder.layer_norm=true
}

augmentation() {
    system lstm
    system one-speed augment.speeds='[1.0]' train.epochs=48 train.average=15  # as many steps
    system other-throats augment.vocal_tract='[0.85,1.18]'
    system no-masks augment.frequency_masks=0 augment.time_masks=0
    system reverberation augment.reverberation_probability=0.5
    system coloured-noise augment.coloured_noise_probability=0.5
    system gain augment.gain_probability=0.5
    system codecs augment.codec_probability=0.5
}

encoders() {
    system lstm
    system residual encoder.connection=residual
    system highway encoder.connection=highway
    system pyramid encoder.pyramid=1 encoder.subsampling.factor=2
    system conv encoder.subsampling.kind=conv
    system conv1d encoder.subsampling.kind=conv1d
    system vgg encoder.subsampling.kind=vgg
    system deepspeech2 encoder.subsampling.kind=deepspeech2
    system self-attention encoder.attention.layers=1
    more=(--ctc-weight 1)  # the decoder helps to train, and is not listened to
    system attention-decoder decoder.weight=0.3
}

if [ $# -eq 0 ]; then set -- "${choices[@]}"; fi
for table in "$@"; do
    if [[ " ${choices[*]} " != *" $table "* ]]; then echo "$table: the tables are ${choices[*]}" >&2; exit 2; fi
    elsewhere=yes
    while [ -n "$elsewhere" ]; do
        elsewhere= names=() more=()
        "$table"
        if [ -n "$elsewhere" ]; then sleep 10; fi  # nothing is left to begin; another core is at its last runs
    done
    python scripts/table_an4.py $receipts "${names[@]}" > "exp/an4_$table.$$"
    mv "exp/an4_$table.$$" "docs/an4_$table.md"  # whole, for another core may be reading it
    cat "docs/an4_$table.md"
done
python scripts/picture_tables.py $receipts docs/an4_*.md > "exp/an4_tables.$$"
mv "exp/an4_tables.$$" docs/an4_tables.svg
