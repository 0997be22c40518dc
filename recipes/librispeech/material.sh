#!/usr/bin/env bash
# Sourced by run.sh, phones.sh and those of english: which recordings train, and the language models of books that nobody reads in them.
text=$corpora/public-domain-books.txt which=
while [ ${#rest[@]} -gt 0 ]; do
    case ${rest[0]} in
        --text) if [ ${#rest[@]} -lt 2 ]; then wrong_usage; fi; text=$(named "${rest[1]}"); rest=("${rest[@]:2}") ;;
        --more-speakers) which=more-; rest=("${rest[@]:1}") ;;
        *) wrong_usage ;;
    esac
done
if [ -n "${trained:-}" ] && [ ! -e "$trained/SHA256SUMS" ]; then
    echo "there is no $trained: run $maker first" >&2
    exit 1
fi
data=data/librispeech lm=exp/lm/librispeech-4gram.safetensors books=exp/lm/librispeech-lstm train=$data/train-clean-5.jsonl
all=$data/train-clean-100.jsonl

shared 1 "$corpora/LibriSpeech" asr data download librispeech --parts train-clean-5,train-clean-100 --to "$corpora"
shared 2 $all asr data prepare librispeech --from "$corpora" --out $data
shared 3 $data/dev.jsonl asr data select $all --speakers 4088,4406 --out $data/dev.jsonl
shared 4 $data/test.jsonl asr data select $all --speakers 5652,8226 --out $data/test.jsonl
if [ -n "$which" ]; then  # speaker 19 is in both parts
    shared 5 $data/more.jsonl asr data select $all --speakers 19,26,27 --not-in $train --out $data/more.jsonl
    shared 6 $data/train-more.jsonl asr data combine $train $data/more.jsonl --out $data/train-more.jsonl
    train=$data/train-more.jsonl
fi

ngram() { shared "$1" $lm asr lm train --order 4 --vocabulary 200000 --prune 0,0,1,1 --text "$text" --out $lm; }

# rescored OPTIONS...: the n best of a search with these options once more, by an LSTM language model of the same text.
rescored() {
    local heard=$exp/decode/test-lstm with=("$@" --rescore $books/model)
    shared 15 exp/lm/librispeech-dev.txt recipes/librispeech/hold_out.sh "$text" exp/lm/librispeech-{train,dev}.txt
    shared 16 $books/model/SHA256SUMS asr lm train-lstm --text exp/lm/librispeech-train.txt \
        --dev exp/lm/librispeech-dev.txt --out $books minutes=55 dropout=0
    stage 17 "$exp/model/decode.yaml" asr decode --tune --model "$exp/model" "${with[@]}" --manifest $data/dev.jsonl
    stage 18 "$heard/decode.json" asr decode --model "$exp/model" "${with[@]}" --manifest $data/test.jsonl --out "$heard"
    stage 19 "$heard/result.json" asr score $data/test.jsonl "$heard/hyp.jsonl" --against "$exp/decode/test-lm/hyp.jsonl"
}
