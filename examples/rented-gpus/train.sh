#!/usr/bin/env bash
# Train a run, or resume it, on a machine that may be taken away at any time:
#
#   KEEP=/keep train.sh TASK [options of trm train]
#
# KEEP    a folder that outlives the machine: a disk, or a bucket that is mounted
# NAME    the name of the run (default: the task)
# BUILD   options of trm build-data, such as "--preset mini"
# EVERY   seconds between two copies to KEEP (default: 60)
#
# Data and run lie on the machine's own disk. The data, and each new checkpoint, are copied to KEEP;
# the next machine copies them back and resumes the run. A file in KEEP is written once, whole: most
# mounted buckets can neither append to a file nor rename a folder. A folder is complete when it has
# the file .kept, which is written last.
set -euo pipefail
shopt -s nullglob

: "${KEEP:?give KEEP, a folder that outlives this machine}"
task=${1:?give the task}
shift
name=${NAME:-$task}
run=runs/$task/$name

copy() { # FOLDER FROM TO: copy a folder that TO does not have yet
    if [ -e "$2/$1" ] && [ ! -e "$3/$1/.kept" ]; then
        mkdir -p "$3/$1" && cp -r "$2/$1/." "$3/$1/" && touch "$3/$1/.kept"
    fi
}

keep() {
    local checkpoint kept
    mkdir -p "$KEEP/$run"
    for checkpoint in "$run"/checkpoints/step-*; do
        copy "$checkpoint" . "$KEEP"
        if [ -e "$checkpoint/evaluation.json" ]; then # written after the checkpoint
            cp "$checkpoint/evaluation.json" "$KEEP/$checkpoint/"
        fi
    done
    for kept in "$KEEP/$run"/checkpoints/step-*; do # trm keeps the newest ones and the best
        [ -d "${kept#"$KEEP/"}" ] || rm -rf "$kept"
    done
    [ ! -e "$run/metrics.jsonl" ] || cp "$run"/*.json* "$KEEP/$run/"
}

for folder in "$KEEP/data/$task" "$KEEP/$run"/checkpoints/step-*; do
    [ ! -e "$folder/.kept" ] || copy "${folder#"$KEEP/"}" "$KEEP" .
done
[ ! -d "$run" ] || cp "$KEEP/$run"/*.json* "$run/"

if [ ! -d "data/$task" ]; then
    # shellcheck disable=SC2086 # several options
    trm build-data "$task" ${BUILD:-}
    copy "data/$task" . "$KEEP"
fi

trm train "$task" --run-name "$name" --resume auto --save-every 10m "$@" &
training=$!
trap 'kill -TERM "$training"' TERM INT # trm saves a checkpoint before it ends
(while sleep "${EVERY:-60}" >/dev/null 2>&1; do keep || true; done) &
keeping=$!

code=0
while kill -0 "$training" 2>/dev/null; do
    code=0
    wait "$training" || code=$? # a signal ends this wait, and not yet the training
done
kill "$keeping"
wait "$keeping" 2>/dev/null || true
keep
exit "$code"
