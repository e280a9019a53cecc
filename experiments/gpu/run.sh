#!/usr/bin/env bash
# Measures, checks and trains on one accelerator within nine minutes:
#
#   bash experiments/gpu/run.sh DATA OUT
#   bash experiments/gpu/run.sh --rehearse OUT   the same on the CPU, with tiny sizes
#
# DATA is a TFDS data folder with Omniglot and its bank; results are written to OUT. Each
# step has its own time limit, so that a failure of one does not lose the others. TOTAL
# is the time limit of all steps, in seconds. TRAIN lists the runs to train in parallel,
# each a name with overrides: TRAIN="a --config.networks.width=24; b --config.inner.steps=5".
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
# Several processes share the device. Autotuning takes longer than all measurements, so
# it is disabled. Without it Triton's products are slow (docs/performance.md), so cuBLAS
# computes them.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
export XLA_FLAGS="${XLA_FLAGS:-} --xla_gpu_autotune_level=0"
XLA_FLAGS+=" --xla_gpu_enable_triton_gemm=false"

total=${TOTAL:-530} measuring=120 compiling=45 parts=12 tasks=16
tiny=() ceilings=() correctness=() shrunk=()
if [ "${1:-}" = --rehearse ]; then
  export JAX_PLATFORMS=cpu
  out=${2:?give the folder for results}
  data=$out/data # a new folder, not the user's data
  total=${TOTAL:-285} measuring=215 compiling=150 parts=2 tasks=2
  tiny=(--tiny) ceilings=(--size=256)
  correctness=(--width=2 --stages=1 --image_size=8)
  shrunk=(--config.dataset.name=glyphs --config.dataset.split=random
    --config.dataset.image_size=8 --config.networks.width=2
    --config.networks.stages=1 --config.inner.steps=2 --config.run.meta_steps=100)
else
  data=${1:?give the data folder} out=${2:?give the folder for results}
fi
work=$(mktemp -d)
mkdir -p "$out"

step() { # NAME SECONDS COMMAND...: runs a step; reports a failure and continues
  local name=$1 limit=$2 begin=$SECONDS
  shift 2
  timeout --kill-after=5 "$limit" "$@" || echo "== $name: exit code $?"
  echo "== $name took $((SECONDS - begin)) s"
}

collect() { # writes all figures so far to one file
  python3 -c 'import json, pathlib, sys
found = {path.stem: json.loads(path.read_text()) for path in map(pathlib.Path, sys.argv[2:])}
pathlib.Path(sys.argv[1]).write_text(json.dumps(found, indent=1))' \
    "$out/figures.json" "$work"/*.json
}

step versions 30 python3 -c 'import importlib.metadata as m
for name in ("jax", "flax", "optax", "orbax-checkpoint"): print(name, m.version(name))'
nvidia-smi -L 2>/dev/null
step ceilings 40 python3 experiments/gpu/ceilings.py --out="$work/ceilings.json" \
  "${ceilings[@]}"
begin=$SECONDS measurements=()
for part in $(seq 0 $((parts - 1))); do
  step "speed table, part $part" "$measuring" python3 experiments/gpu/speed_table.py \
    --out="$work" --part="$part" --parts="$parts" "${tiny[@]}" &
  measurements+=($!)
done
step correctness "$measuring" python3 experiments/gpu/correctness.py \
  --out="$work/correctness.json" "${correctness[@]}" &
measurements+=($!)

# Training compiles while the last rows are timed; its first step comes after them.
sleep $((measuring > compiling ? measuring - compiling : 0))
IFS=";" read -ra runs <<<"${TRAIN:-omniglot-32}"
plan=
while [ -z "$plan" ] && [ $((SECONDS - begin)) -lt "$measuring" ]; do
  sleep 2
  plan=$(python3 experiments/gpu/plan.py --table="$work" --tasks="$tasks" \
    --seconds=$((total > SECONDS + compiling ? total - SECONDS - compiling : 1)) --runs=${#runs[@]} 2>/dev/null)
done
left=$((total - SECONDS))
for run in "${runs[@]}"; do
  read -r name more <<<"$run"
  echo "== training $name for $left s: $plan $more"
  RUNS=${RUNS:-$work/runs} bash "$here/train.sh" "$data" "$out" "$name" "$left" \
    configs/omniglot_fusion.py $plan "${shrunk[@]}" $more >"$work/$name.log" 2>&1 &
done
wait "${measurements[@]}"
collect
wait
collect
tail -n 4 "$work"/*.log
ls -l "$out"
# The run succeeded if it has figures of every step, and a model.
grep -q adaptations_per_second "$out/figures.json" &&
  grep -q relative_error "$out/figures.json" &&
  ls "$out"/*.tgz >/dev/null
