"""Plan of a training run from the speed table: meta-steps that fit in a time.

python experiments/gpu/plan.py --table=FOLDER --seconds=300 --tasks=16 --runs=2

Prints overrides for `figr_jax.main`, with the fastest lowering of the table. If the
table has no row for the number of tasks, prints nothing and fails.
"""

import json
import pathlib

from absl import flags

from figr_jax.common import command, errors

_TABLE = flags.DEFINE_string("table", None, "Folder of table.*.json.", required=True)
_SECONDS = flags.DEFINE_float("seconds", None, "Time to train in.", required=True)
_TASKS = flags.DEFINE_integer("tasks", 16, "Tasks per meta-step.")
_RUNS = flags.DEFINE_integer("runs", 1, "Runs that share the device.", lower_bound=1)

SAFETY = 0.9  # share of the time; the rest is for saving and estimation errors


def main():
    """Reads the table, prints the overrides."""
    tables = pathlib.Path(_TABLE.value).glob("table.*.json")
    rows = [row for path in tables for row in json.loads(path.read_text())["rows"]]
    alike = [
        row
        for row in rows
        if row["family"] == "fusion"
        and row["dtype"] == "float32"
        and row["tasks"] == _TASKS.value
    ]
    if not alike:
        raise errors.FailedWork(
            f"no row of {_TASKS.value} tasks in {_TABLE.value}: run speed_table.py"
        )
    best = min(alike, key=lambda row: row["seconds"])
    steps = SAFETY * _SECONDS.value / _RUNS.value / best["seconds"]
    every = 100
    overrides = {
        "run.meta_steps": max(1, int(steps / every)) * every,
        "run.log_every": every // 2,
        "run.save_every": 10 * every,
        "run.sample_every": 0,
        "outer.tasks": _TASKS.value,
        "networks.convolution": best["convolution"],
    }
    print(" ".join(f"--config.{name}={value}" for name, value in overrides.items()))


if __name__ == "__main__":
    command.run(main)
