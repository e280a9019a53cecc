"""One trial of a sweep: trains for some core minutes, then measures on tuning classes.

python experiments/sweep.py --name=base --minutes=8
python experiments/sweep.py --name=steps5 --minutes=8 -- --config.inner.steps=5
python experiments/sweep.py --name=t4 --adaptations=1280 -- --config.outer.tasks=4

Trains --base on Omniglot, with one task per meta-step, an outer learning rate of 5e-4
and the given overrides. A few trial meta-steps estimate how many fit into the minutes,
without compilation, so that the outer learning rate decays as configured. A trial takes
at least 200 meta-steps, so that each quarter is longer than those trial meta-steps.
Each quarter of the run is measured on 50 tuning classes with the first of
--settings, the end of the run with all of them. Appends a line per measurement to
experiments/results/sweep.jsonl: the overrides, core minutes, metrics with 95 %
intervals, commit and device.
"""

import subprocess
import sys

import psutil
import records
import tuning
from absl import flags

from figr_jax import generation
from figr_jax.common import command, compilation, errors

_NAME = flags.DEFINE_string("name", None, "Name of the trial.", required=True)
_BASE = flags.DEFINE_string(
    "base", "configs/omniglot_fusion.py", "Config that the trial starts from."
)
_MINUTES = flags.DEFINE_float(
    "minutes", 8, "Core minutes of training.", lower_bound=0.1
)
_ADAPTATIONS = flags.DEFINE_integer(
    "adaptations",
    0,
    "Adaptations of training (meta-steps times tasks), instead of --minutes.",
    lower_bound=0,
)
_SETTINGS = flags.DEFINE_multi_string(
    "settings", [""], "Fields of `sampling`, see tuning.py; each gives one measurement."
)

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")

TRIED = 40  # meta-steps to estimate the time of one
PARTS = 4  # parts of a run; each is measured at its end
# Overrides of all trials. One task per meta-step: more are not faster on a CPU.
COMMON = (
    *("--config.dataset.name=omniglot", "--config.dataset.split=weak"),
    *("--config.outer.tasks=1", "--config.outer.learning_rate=5e-4"),
    *("--config.run.log_every=10", "--config.run.sample_every=0"),
)


def train(workdir, overrides):
    """Trains until `run.meta_steps` of the config.

    Args:
      workdir: the run's folder.
      overrides: overrides of the config, as flags; later ones win.

    Returns:
      Core minutes, without compilation.

    Raises:
      FailedWork: if training fails.
    """
    command = [sys.executable, "-m", "figr_jax.main", f"--workdir={workdir}"]
    command += [f"--config={_BASE.value}", *COMMON, *overrides]
    command += [f"--data_dir={_DATA_DIR.value}"] if _DATA_DIR.value else []
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True, cwd=records.ROOT)
    begin = end = 0
    for line in process.stdout:
        print(line, end="", flush=True)
        if line.startswith("compiled"):
            begin = _core_minutes(process)
        if line.startswith("meta-step"):
            end = _core_minutes(process)
    if process.wait():
        raise errors.FailedWork(f"the trial failed: {' '.join(command)}")
    return end - begin


def _core_minutes(process):
    times = process.cpu_times()
    return (times.user + times.system) / 60


def run_trial(workdir, minutes, overrides):
    """Trains for some core minutes, in parts of equal length.

    Args:
      workdir: a new folder for the run.
      minutes: core minutes.
      overrides: overrides of the config, as flags.

    Returns:
      Core minutes taken, without compilation.
    """
    unit = 10 * PARTS
    if _ADAPTATIONS.value:
        tasks = [x for x in overrides if x.startswith("--config.outer.tasks=")]
        tasks = int(tasks[-1].partition("=")[2]) if tasks else 1
        steps = max(1, round(_ADAPTATIONS.value / tasks / unit)) * unit
        return _train_parts(workdir, overrides, steps)
    tried = ("--config.outer.decay=0.0", f"--config.run.meta_steps={TRIED}")
    taken = train(workdir, [*overrides, *tried, f"--config.run.save_every={TRIED}"])
    least = PARTS * TRIED // unit + 1  # a part is longer than the trial meta-steps
    steps = max(least, round(minutes / taken * TRIED / unit)) * unit
    return taken + _train_parts(workdir, overrides, steps)


def _train_parts(workdir, overrides, steps):
    last = (
        f"--config.run.meta_steps={steps}",
        f"--config.run.save_every={steps // PARTS}",
    )
    return train(workdir, [*overrides, *last])


def main(argv):
    """Trains, measures, appends to the log."""
    compilation.keep_programs()
    workdir = records.ROOT / "runs" / "sweep" / _NAME.value
    if workdir.exists():
        raise errors.BadInput(
            f"--name={_NAME.value}: {workdir} exists; give a new name"
        )
    taken = run_trial(workdir, _MINUTES.value, argv)
    model = generation.load(workdir)
    measured = tuning.Tuning(model, data_dir=_DATA_DIR.value)
    last, lines = model.info["step"], []
    for part in range(1, PARTS + 1):
        model = generation.load(workdir / "snapshots" / str(last * part // PARTS))
        for setting in _SETTINGS.value if part == PARTS else _SETTINGS.value[:1]:
            metrics = measured.measure(model, tuning.parse(setting))
            minutes = taken * part / PARTS
            line = {"trial": _NAME.value, "base": _BASE.value, "overrides": argv}
            line |= {"core_minutes": minutes, "setting": setting, **metrics}
            lines.append(line)
            print(
                f"{_NAME.value}, {minutes:.1f} min, {setting}: {tuning.show(metrics)}"
            )
    for line in lines:  # at the end, so that the log has whole trials only
        records.append("sweep.jsonl", line)


if __name__ == "__main__":
    command.run(main, takes_arguments=True)
