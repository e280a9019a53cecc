#!/usr/bin/env bash
# Trains for some time and packs the results every minute:
#   train.sh DATA OUT NAME SECONDS CONFIG [OVERRIDES...]
# OUT/NAME.tgz: newest snapshot, metrics and sample grid.
# With STATE=1 also OUT/NAME-state.tgz.NN: newest checkpoint, to resume from, in parts of
# 15 MB.
set -uo pipefail
data=$1 out=$2 name=$3 seconds=$4 config=$5
shift 5
here=$(cd "$(dirname "$0")/../.." && pwd)
run=${RUNS:-$HOME/runs}/$name
end=$((SECONDS + seconds))

pack() {
  local step
  step=$(ls "$run/snapshots" 2>/dev/null | grep -E '^[0-9]+$' | sort -n | tail -n 1)
  [ -n "$step" ] || return 0
  # Write to another name first, so that OUT always has a complete file.
  tar -C "$run" -czf "$run.tgz" config.json split.json metrics.jsonl \
    "snapshots/$step" $(cd "$run" && ls -d samples/*.png 2>/dev/null | tail -n 1) &&
    mv "$run.tgz" "$out/$name.tgz"
}

pack_state() {
  local step
  step=$(ls "$run/checkpoints" 2>/dev/null | grep -E '^[0-9]+$' | sort -n | tail -n 1)
  [ -n "$step" ] || return 0
  tar -C "$run" -czf - "checkpoints/$step" |
    split -d -b 15M - "$out/$name-state.tgz."
}

cd "$here"
timeout --signal=TERM $((seconds - 20)) python3 -m figr_jax.main --config="$config" \
  --workdir="$run" --data_dir="$data" "$@" &
trainer=$!
while kill -0 $trainer 2>/dev/null && [ $SECONDS -lt $end ]; do
  sleep 2
  [ $((SECONDS % 60)) -lt 2 ] && pack
  true
done
wait $trainer
echo "$name: the trainer ended with exit code $?"
tail -n 1 "$run/metrics.jsonl"
pack
[ -n "${STATE:-}" ] && pack_state
true
