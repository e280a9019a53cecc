#!/usr/bin/env bash
# Everything to measure and train on one accelerator within nine minutes.
#
#   bash experiments/gpu/run.sh DATA OUT [measure|train|all]
#   bash experiments/gpu/run.sh --rehearse      the same on the CPU, with tiny sizes
#
# DATA is a TFDS data folder with Omniglot and its bank; results go to OUT. Each step has
# a time limit of its own, so that a failure of one does not lose the others.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1

tiny=() steps=all total=530
if [ "${1:-}" = --rehearse ]; then
  export JAX_PLATFORMS=cpu
  out=$(mktemp -d)
  data=${DATA:-$HOME/tensorflow_datasets}
  total=240
else
  data=${1:?give the data folder} out=${2:?give the folder for results}
  steps=${3:-all}
fi
mkdir -p "$out"

step() { # NAME SECONDS COMMAND...: a failure is reported and does not end the run
  local name=$1 limit=$2 begin=$SECONDS
  shift 2
  echo "== $name (at most $limit s)"
  timeout --kill-after=5 "$limit" "$@" || echo "== $name: exit code $?"
  echo "== $name: $((SECONDS - begin)) s"
}

if [ "$steps" != train ]; then
  step versions 20 python3 -c 'import importlib.metadata as m
for name in ("jax", "flax", "optax", "orbax-checkpoint"): print(name, m.version(name))'
  nvidia-smi -L 2>/dev/null || true
  if [ "${1:-}" = --rehearse ]; then
    step ceilings 30 python3 experiments/gpu/ceilings.py --out="$out/ceilings.json" \
      --size=256
    step correctness 100 python3 experiments/gpu/correctness.py \
      --out="$out/correctness.json" --width=2 --stages=1 --image_size=8
    step table 120 python3 experiments/gpu/speed_table.py --out="$out/table.json" --tiny \
      --seconds=110
  else
    step ceilings 30 python3 experiments/gpu/ceilings.py --out="$out/ceilings.json"
    step correctness 70 python3 experiments/gpu/correctness.py \
      --out="$out/correctness.json"
    step table 140 python3 experiments/gpu/speed_table.py --out="$out/table.json" \
      --seconds=120
  fi
fi
if [ "$steps" != measure ]; then
  if [ "${1:-}" = --rehearse ]; then
    shrunk="--config.dataset.image_size=8 --config.networks.width=2
      --config.networks.stages=1 --config.inner.steps=2 --config.outer.tasks=4
      --config.outer.group=2 --config.run.log_every=2 --config.run.save_every=2
      --config.run.sample_every=4 --config.run.meta_steps=4 --config.dataset.name=glyphs
      --config.dataset.split=random"
    RUNS=$out/runs bash "$here/train.sh" "$data" "$out" rehearsal 120 \
      configs/fusion.py $shrunk
  else
    bash "$here/train.sh" "$data" "$out" omniglot-32 $((total - SECONDS)) \
      configs/fusion.py ${TRAIN:-}
  fi
fi
ls -l "$out"
