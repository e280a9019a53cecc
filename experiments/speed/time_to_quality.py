"""How good are the images after equal core minutes of meta-training?

python experiments/speed/time_to_quality.py --minutes=12

Trains three recipes on Omniglot, split `weak`, 4 shots, by experiments/sweep.py: the
paper's algorithm and ResNet at the best rates known, the subpixel networks, and fusion.
Does not repeat trials that experiments/results/sweep.jsonl has. Draws recognizability
and KID of 50 tuning classes against core minutes to time_to_quality.png in
experiments/results, and writes what it drew to the .json next to it.
"""

import json
import pathlib
import subprocess
import sys

from absl import flags
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from figr_jax import errors, files, provenance

_MINUTES = flags.DEFINE_float(
    "minutes", 12, "Of training, of one core, for each recipe.", lower_bound=0.1
)

EXPERIMENTS = pathlib.Path(__file__).parent.parent
RESULTS = EXPERIMENTS / "results"
METRICS = {"recognizability": "recognizability", "kid": "KID (log)"}
# Label, name of the trial, base config, overrides.
RECIPES = (
    (
        "the paper's algorithm and ResNet, width 16",
        "paper",
        "configs/subpixel.py",
        [
            "--config.networks.family=resnet",
            "--config.networks.minibatch_std=False",
            "--config.sampling.critic_steps=0",
            "--config.sampling.decay_rate=1.0",
        ],
    ),
    (
        "subpixel networks",
        "subpixel",
        "configs/subpixel.py",
        ["--config.networks.minibatch_std=False"],
    ),
    ("fusion", "fusion", "configs/omniglot_fusion.py", []),
)


def read_trial(name):
    """The lines of a trial in the log, in the order of its core minutes."""
    lines = (RESULTS / "sweep.jsonl").read_text().splitlines()
    lines = [line for line in map(json.loads, lines) if line["trial"] == name]
    return sorted(lines, key=lambda line: line["core_minutes"])


def run(name, base, overrides):
    """Runs a trial.

    Raises:
      FailedWork: if it fails; it says why.
    """
    command = [sys.executable, str(EXPERIMENTS / "sweep.py"), f"--name={name}"]
    command += [f"--base={base}", f"--minutes={_MINUTES.value}", "--", *overrides]
    if subprocess.run(command).returncode:
        raise errors.FailedWork(f"the trial {name} failed")


def draw(trials):
    """Draws the metrics of trials, `{label: lines}`, against core minutes."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, (metric, label) in zip(
        figure.subplots(1, 2), METRICS.items(), strict=True
    ):
        for name, lines in trials.items():
            minutes = [line["core_minutes"] for line in lines]
            mean, low, high = (
                [line[metric][key] for line in lines] for key in ("mean", "low", "high")
            )
            axes.plot(minutes, mean, marker="o", label=name)
            axes.fill_between(minutes, low, high, alpha=0.15)
        axes.set(xlabel="core minutes of meta-training", ylabel=label, xlim=(0, None))
        axes.grid(alpha=0.3)
    axes.set_yscale("log")
    figure.axes[0].legend(fontsize="small")
    canvas = FigureCanvasAgg(figure)
    canvas.print_png(RESULTS / "time_to_quality.png")


def main():
    """Runs what is missing, draws."""
    trials = {}
    for label, name, base, overrides in RECIPES:
        name = f"time_to_quality_{name}"
        if not read_trial(name):
            run(name, base, overrides)
        trials[label] = read_trial(name)
    draw(trials)
    made = {"minutes": _MINUTES.value, "trials": trials} | provenance.describe()
    files.write_json(RESULTS / "time_to_quality.json", made)
    print(f"wrote {RESULTS / 'time_to_quality.png'} and .json")


if __name__ == "__main__":
    errors.run(main)
