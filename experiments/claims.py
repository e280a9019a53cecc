"""Tests of the paper's claims and choices: two or more configs, equal training time.

python experiments/claims.py joint penalty

Runs experiments/recipe.py for each arm of the named claims (default: all claims) that
has no line in experiments/results/recipe.jsonl yet, and prints a table per claim. Where
a claim is about the number of meta-steps, these replace the time limit.
experiments/results_page.py writes all tables to one page.
"""

import json
import pathlib
import subprocess
import sys

from figr_jax.common import command, errors
from figr_jax.evaluation import presentation

HERE = pathlib.Path(__file__).parent
LOG = HERE / "results" / "recipe.jsonl"
MINUTES = 5  # core minutes of training per arm
METRICS = ("recognizability", "diversity", "kid", "pooled_copying")
HEAD = ["trial", "overrides", "core minutes", "meta-steps"]
HEAD += [*(presentation.METRICS[metric][0] for metric in METRICS), "commit"]

_SGD = ["--config.inner.optimizer=sgd", "--config.inner.optimizer_args="]
_BASE = ("base", [])
_STEPS = ("steps600", ["--config.run.meta_steps=600"])  # as many as fit into `MINUTES`

# For each claim: its question, and its arms (name, overrides of configs/subpixel.py).
CLAIMS = {
    "joint": (
        "Reptile (K = 10) against joint training (K = 1)",
        [_BASE, ("joint", ["--config.inner.steps=1"])],
    ),
    "shots": ("4 shots against 8", [_BASE, ("shots8", ["--config.inner.shots=8"])]),
    "penalty": (
        "the paper's penalty against the penalty of the published code (per pixel)",
        [_BASE, ("pixel_penalty", ["--config.inner.loss=wgan_gp_published"])],
    ),
    "inner_optimizer": ("inner Adam against inner SGD", [_BASE, ("sgd", _SGD)]),
    "rates": (
        "our learning rates against those of the paper and of the published code",
        [
            _BASE,
            (
                "paper_rates",
                [
                    *_SGD,
                    "--config.inner.learning_rate=1e-4",
                    "--config.outer.learning_rate=1e-5",
                ],
            ),
            ("published_rates", [*_SGD, "--config.outer.learning_rate=1e-4"]),
        ],
    ),
    "layer_norm": (
        "layer norm against none",
        [_BASE, ("no_norm", ["--config.networks.layer_norm=False"])],
    ),
    "minibatch_std": (
        "a critic with minibatch standard deviation (`minibatch_std`) against none",
        [
            ("base_again", []),  # measured by the same embedding as the other arm
            ("minibatch_std", ["--config.networks.minibatch_std=True"]),
        ],
    ),
    "networks": (
        "the subpixel networks against the paper's ResNet and DCGAN",
        [
            _BASE,
            ("resnet", ["--config.networks.family=resnet"]),
            ("dcgan", ["--config.networks.family=dcgan"]),
        ],
    ),
    "meta_steps": (
        "number of meta-steps",
        [
            ("steps150", ["--config.run.meta_steps=150"]),
            ("steps300", ["--config.run.meta_steps=300"]),
            _STEPS,
            _BASE,
        ],
    ),
    "tasks": (
        "one task per meta-step against four",
        [_BASE, ("tasks4", ["--config.outer.tasks=4"])],
    ),
    "decay": (
        "a constant outer learning rate against linear decay over the second half",
        [
            _STEPS,
            ("decay", [*_STEPS[1], "--config.outer.decay=0.5"]),
        ],
    ),
}


def find(name):
    """Returns the last line of the trial `name` with `MINUTES`, or None."""
    lines = LOG.read_text().splitlines() if LOG.exists() else []
    lines = (json.loads(line) for line in lines)
    trials = [x for x in lines if (x["trial"], x["minutes"]) == (name, MINUTES)]
    return trials[-1] if trials else None


def row(line):
    """Returns the cells of a line of the log, in the order of `HEAD`."""
    cells = ["failed"] * len(METRICS)
    if "model" in line:
        cells = [presentation.cell(line["model"], metric) for metric in METRICS]
    overrides = " ".join(x.removeprefix("--config.") for x in line["overrides"]) or "-"
    steps = f"{line['meta_steps']:,}" if "meta_steps" in line else "-"
    minutes = f"{line['minutes_taken'] or 0:.1f}"
    return [line["trial"], f"`{overrides}`", minutes, steps, *cells, line["commit"]]


def main(argv):
    """Runs the missing trials, prints the tables."""
    for claim in argv:
        if claim not in CLAIMS:
            raise errors.BadInput(f"{claim!r}: must be one of {', '.join(CLAIMS)}")
    for claim in argv or CLAIMS:
        question, arms = CLAIMS[claim]
        for name, overrides in arms:
            if not find(name):
                command = [sys.executable, "experiments/recipe.py", f"--name={name}"]
                command += [f"--minutes={MINUTES}", "--", *overrides]
                if subprocess.run(command, cwd=HERE.parent).returncode:
                    raise errors.FailedWork(f"the trial {name} failed; see its error")
        print(question, " | ".join(HEAD), sep="\n")
        for name, _ in arms:
            print(" | ".join(row(find(name))))


if __name__ == "__main__":
    command.run(main, takes_arguments=True)
