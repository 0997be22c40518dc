# Sourced by every run.sh: its options, its stages with done-markers, its exit status.
#
#   --stage A --stop-stage B   run these stages only
#   --seed N                   of the training run (1)
#   KEY=VALUE                  overrides of the config, as in train.epochs=5
#
# A stage that is done leaves a marker that holds its command; the same command is not repeated.
usage="usage: $0 ${arguments:-}[--stage A] [--stop-stage B] [--seed N] ${options:-}[KEY=VALUE ...]"
first=1 last=99 seed=1 status=0 overrides=() rest=()
while [ $# -gt 0 ]; do
    case $1 in
        --stage) first=${2:?$usage}; shift 2 ;;
        --stop-stage) last=${2:?$usage}; shift 2 ;;
        --seed) seed=${2:?$usage}; shift 2 ;;
        -h | --help) echo "$usage"; exit 0 ;;
        *=*) overrides+=("$1"); shift ;;
        *) rest+=("$1"); shift ;;
    esac
done
case $first$last$seed in *[!0-9]*) echo "$usage" >&2; exit 2 ;; esac
corpora=${ASR_CORPORA:-data/downloads}
export PATH="$PWD/.venv/bin:$PATH"
command -v asr > /dev/null || { echo "the command asr is not installed: pip install . (or bash scripts/demo.sh)" >&2; exit 1; }

# stage NUMBER PRODUCT COMMAND...: a command that fails but leaves its product (exit status 1: some utterances failed,
# the rest is written) does not stop the recipe; the recipe returns that status at its end.
stage() {
    local number=$1 product=$2 marker code=0
    marker=$(dirname "$product")/.$(basename "$product").done
    shift 2
    if [ "$number" -lt "$first" ] || [ "$number" -gt "$last" ]; then return 0; fi
    if [ -e "$product" ] && [ "$(cat "$marker" 2> /dev/null)" = "$*" ]; then
        echo "stage $number: done already ($product)"
        return 0
    fi
    echo "stage $number: $*"
    "$@" || code=$?
    if [ "$code" -eq 0 ]; then
        echo "$*" > "$marker"
    elif [ "$code" -eq 1 ] && [ -e "$product" ]; then
        status=1
    else
        exit "$code"
    fi
}
