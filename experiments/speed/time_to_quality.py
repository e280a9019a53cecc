"""Comparison of configs by image quality after equal core minutes.

python experiments/speed/time_to_quality.py --minutes=8

Trains on Omniglot, split `weak`, 4 shots, with experiments/sweep.py: the paper's
algorithm and ResNet at the best known learning rates, the subpixel networks, and the
fusion networks with both losses. Each configuration samples with the settings that were
chosen for it on tuning classes. Skips trials that experiments/results/sweep.jsonl
contains. Plots recognizability and KID of 50 tuning classes against core minutes to
time_to_quality.png in experiments/results, and writes the data to the .json next to it.
"""

import json
import pathlib
import subprocess
import sys

from absl import flags
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from figr_jax.common import command, errors, files, provenance

_MINUTES = flags.DEFINE_float(
    "minutes", 8, "Core minutes of training per config.", lower_bound=0.1
)

EXPERIMENTS = pathlib.Path(__file__).parent.parent
RESULTS = EXPERIMENTS / "results"
METRICS = {"recognizability": "recognizability", "kid": "KID (log)"}
# Label, name of the trial, base config, sampling setting, overrides.
RECIPES = (
    (
        "the paper's algorithm and ResNet, width 16",
        "paper8",
        "configs/subpixel.py",
        "",
        [
            "--config.networks.family=resnet",
            "--config.networks.minibatch_std=False",
            "--config.sampling.critic_steps=0",
            "--config.sampling.decay_rate=1.0",
        ],
    ),
    (
        "subpixel networks",
        "subpixel8",
        "configs/subpixel.py",
        "",
        ["--config.networks.minibatch_std=False"],
    ),
    (
        "fusion, WGAN-GP",
        "fusion_wgan8",
        "configs/omniglot_fusion.py",
        "steps=3,rate=0.1,latent_scale=1.3",
        [
            "--config.inner.loss=wgan_gp",
            "--config.inner.penalty_weight=10.0",
            "--config.outer.learning_rate=1e-3",
        ],
    ),
    (
        "fusion, relativistic loss",
        "fusion8",
        "configs/omniglot_fusion.py",
        "",
        ["--config.outer.learning_rate=1e-3"],
    ),
)


def read_trial(name, setting):
    """Reads the lines of a trial from the log, sorted by core minutes."""
    lines = map(json.loads, (RESULTS / "sweep.jsonl").read_text().splitlines())
    lines = [x for x in lines if (x["trial"], x["setting"]) == (name, setting)]
    return sorted(lines, key=lambda line: line["core_minutes"])


def run(name, base, setting, overrides):
    """Runs a trial.

    Raises:
      FailedWork: if the trial fails; it prints the reason.
    """
    trial = [sys.executable, str(EXPERIMENTS / "sweep.py"), f"--name={name}"]
    trial += [f"--base={base}", f"--minutes={_MINUTES.value}"]
    trial += [f"--settings={setting}", "--", *overrides]
    if subprocess.run(trial).returncode:
        raise errors.FailedWork(f"the trial {name} failed")


def draw(trials):
    """Plots the metrics of trials, `{label: lines}`, against core minutes."""
    figure = Figure(figsize=(9, 4), layout="constrained")
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
    labelled = figure.axes[0].get_legend_handles_labels()
    figure.legend(*labelled, fontsize="small", loc="outside lower center", ncols=2)
    canvas = FigureCanvasAgg(figure)
    canvas.print_png(RESULTS / "time_to_quality.png")


def main():
    """Runs the missing trials, plots all."""
    trials = {}
    for label, name, base, setting, overrides in RECIPES:
        if not read_trial(name, setting):
            run(name, base, setting, overrides)
        trials[label] = read_trial(name, setting)
    draw(trials)
    record = {"minutes": _MINUTES.value, "trials": trials} | provenance.describe()
    files.write_json(RESULTS / "time_to_quality.json", record)
    print(f"wrote {RESULTS / 'time_to_quality.png'} and .json")


if __name__ == "__main__":
    command.run(main)
