# Sourced by every run.sh: its options, its stages with done-markers, its exit status.
#
#   --stage A --stop-stage B   run these stages only
#   --seed N                   of the training run (1)
#   KEY=VALUE                  overrides of the config, as in train.epochs=5
#
# A stage that is done leaves a marker that holds its exit status and its command; the same command is not repeated,
# unless the stage before it was run again since, or a file or model that it reads was written since.
usage="usage: $0 ${arguments:-}[--stage A] [--stop-stage B] [--seed N] ${options:-}[KEY=VALUE ...]"
wrong_usage() { echo "$usage" >&2; exit 2; }

first=1 last=99 seed=1 status=0 previous= overrides=() rest=()
while [ $# -gt 0 ]; do
    case $1 in
        --stage) first=${2:-}; shift 2 || wrong_usage ;;
        --stop-stage) last=${2:-}; shift 2 || wrong_usage ;;
        --seed) seed=${2:-}; shift 2 || wrong_usage ;;
        seed=*) seed=${1#*=}; shift ;;
        -h | --help) echo "$usage"; exit 0 ;;
        *) if [[ $1 =~ ^[a-z_.]+= ]]; then overrides+=("$1"); else rest+=("$1"); fi; shift ;;
    esac
done
for number in "$first" "$last" "$seed"; do
    case $number in '' | *[!0-9]*) wrong_usage ;; esac
done
overrides=("seed=$seed" ${overrides[@]+"${overrides[@]}"})  # never empty: bash 3.2 takes an empty array for an unset one
if [ ${#rest[@]} -gt 0 ] && [ -z "${arguments:-}${options:-}" ]; then wrong_usage; fi

here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
corpora=${ASR_CORPORA:-$PWD/data/downloads}
case $corpora in "$PWD"/*) corpora=${corpora#"$PWD"/} ;; /*) ;; *) corpora=$here/$corpora ;; esac
# A file that the user names, seen from where the command was given.
named() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
export PATH="$PWD/.venv/bin:$PATH"
command -v asr > /dev/null || { echo "the command asr is not installed: pip install . (or bash scripts/demo.sh)" >&2; exit 1; }

# stage NUMBER PRODUCT COMMAND...: the product is what the command writes last. A command that fails but has written it
# (exit status 1: some utterances failed, the rest is there) does not stop the recipe, which returns 1 at its end.
stage() { look_or_run "$1-" "$previous" "$@"; previous=$marker; }

# shared NUMBER PRODUCT COMMAND...: the same for what other seeds and scripts make alike, such as a language model. No
# stage stands before it, and its marker has no number, so that it is not made twice.
shared() { look_or_run "" "" "$@"; }

look_or_run() {
    local name=$1 before=$2 number=$3 product=$4 folder command was word code=0
    shift 4
    folder=$(dirname "$product")
    marker=$folder/.$name$(basename "$product").done
    if [ "$number" -lt "$first" ] || [ "$number" -gt "$last" ]; then return 0; fi
    printf -v command '%q ' "$@"
    was=$(cat "$marker" 2> /dev/null || true)
    for word in "$@"; do
        if [ -d "$word" ]; then word=$word/SHA256SUMS; fi
        if [ -f "$word" ] && [ "$word" != "$product" ] && [ "$word" -nt "$marker" ]; then was=; fi
    done
    if [ -e "$product" ] && [ "${was#* }" = "$command" ] && [ ! "$before" -nt "$marker" ]; then
        echo "stage $number: done already ($product)"
        if [ "${was%% *}" -ne 0 ]; then status=1; fi
        return 0
    fi
    echo "stage $number: $command"
    mkdir -p "$folder"
    mark "$marker" begun
    "$@" || code=$?
    if [ "$code" -ne 0 ]; then
        if [ "$code" -ne 1 ] || [ ! -e "$product" ] || [ "$marker" -nt "$product" ]; then exit "$code"; fi
        status=1
    fi
    mark "$marker" "$code $command"
}

# Corpora may lie where nobody may write; then `asr data download` looks at them anew each time, which is quick.
mark() { if [ -w "$(dirname "$1")" ]; then echo "$2" > "$1"; fi; }
