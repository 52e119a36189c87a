#!/bin/bash
# Makes traffic, replays it and scores the packets, in two processes; prints a line for each seed, then the sums.
#   run.sh NOISE FOLDER FIRST LAST VEHICLES [ARGUMENT...]    the arguments go to the generator, such as --alarms 0.5
# GENERATOR names another one than generate.py: following.py, events.py.
# Build first: cargo build --release -p edge-agent. EDGE_AGENT names another program. FOLDER/SEED/list says what went wrong.
set -u
[ $# -ge 5 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
noise=$1 out=$2 first=$3 last=$4 vehicles=$5
shift 5
here=$(cd "$(dirname "$0")" && pwd)
agent=${EDGE_AGENT:-$here/../../../target/release/edge-agent}
[ -x "$agent" ] || { echo "$agent is missing: run cargo build --release -p edge-agent" >&2; exit 1; }

one() {
  folder=$out/$1
  mkdir -p "$folder"
  rm -f "$folder/list"
  python3 "$here/${GENERATOR:-generate.py}" --seed "$1" --vehicles "$vehicles" --noise "$noise" --out "$folder" "${@:2}" || return
  "$agent" replay --config "$folder/site.toml" "$folder/journal.jsonl" > "$folder/packets.jsonl" 2> "$folder/errors" ||
    { echo "seed $1: replay failed: $(tail -1 "$folder/errors")" >&2; return; }
  python3 "$here/score.py" "$folder" "$folder/packets.jsonl" --list > "$folder/list"
}
half() { for seed in $(seq "$1" 2 "$last"); do one "$seed" "${@:2}"; done; }
half "$first" "$@" & half $((first + 1)) "$@" & wait
for seed in $(seq "$first" "$last"); do head -1 "$out/$seed/list"; done | python3 "$here/sum.py"
