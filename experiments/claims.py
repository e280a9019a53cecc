"""The paper's claims and choices, each tested: two or more recipes, equal time.

python experiments/claims.py joint penalty

Runs experiments/recipe.py for each arm of the named claims (without a name, of all)
that has no line in experiments/results/recipe.jsonl yet, and prints a table a claim.
Only where the meta-steps are what is asked do they stand in the place of the time.
experiments/results_page.py puts all on one page.
"""

import json
import pathlib
import subprocess
import sys

from figr_jax import command, errors
from figr_jax.evaluation import presentation

HERE = pathlib.Path(__file__).parent
LOG = HERE / "results" / "recipe.jsonl"
MINUTES = 5  # of training, of one core, each arm
METRICS = ("recognizability", "diversity", "kid", "pooled_copying")
HEAD = ["trial", "what differs", "core minutes", "meta-steps"]
HEAD += [*(presentation.METRICS[metric][0] for metric in METRICS), "commit"]

_SGD = ["--config.inner.optimizer=sgd", "--config.inner.optimizer_args="]
_BASE = ("base", [])
_STEPS = ("steps600", ["--config.run.meta_steps=600"])  # what fits into the minutes

# Of each claim: what is asked, and its arms: name to overrides of configs/subpixel.py.
CLAIMS = {
    "joint": (
        "Reptile (K = 10) against joint training (K = 1)",
        [_BASE, ("joint", ["--config.inner.steps=1"])],
    ),
    "shots": ("4 shots against 8", [_BASE, ("shots8", ["--config.inner.shots=8"])]),
    "penalty": (
        "the penalty of the paper against that of the published code (per pixel)",
        [_BASE, ("pixel_penalty", ["--config.inner.loss=wgan_gp_published"])],
    ),
    "inner_optimizer": ("inner Adam against inner SGD", [_BASE, ("sgd", _SGD)]),
    "rates": (
        "our rates against those of the paper and of the published code",
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
        "a critic that sees how different a batch is (`minibatch_std`) against none",
        [
            ("base_again", []),  # both by one embedding
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
        "how many meta-steps are needed",
        [
            ("steps150", ["--config.run.meta_steps=150"]),
            ("steps300", ["--config.run.meta_steps=300"]),
            _STEPS,
            _BASE,
        ],
    ),
    "tasks": (
        "one task a meta-step against four",
        [_BASE, ("tasks4", ["--config.outer.tasks=4"])],
    ),
    "decay": (
        "a constant outer rate against one that falls to nothing in the second half",
        [
            _STEPS,
            ("decay", [*_STEPS[1], "--config.outer.decay=0.5"]),
        ],
    ),
}


def find(name):
    """The last line of a trial of that name and of `MINUTES`; None if there is none."""
    lines = LOG.read_text().splitlines() if LOG.exists() else []
    lines = (json.loads(line) for line in lines)
    found = [x for x in lines if (x["trial"], x["minutes"]) == (name, MINUTES)]
    return found[-1] if found else None


def row(line):
    """The cells of a line of the log, in the order of `HEAD`."""
    cells = ["failed"] * len(METRICS)
    if "model" in line:
        cells = [presentation.cell(line["model"], metric) for metric in METRICS]
    what = " ".join(x.removeprefix("--config.") for x in line["overrides"]) or "-"
    steps = f"{line['meta_steps']:,}" if "meta_steps" in line else "-"
    minutes = f"{line['minutes_taken'] or 0:.1f}"
    return [line["trial"], f"`{what}`", minutes, steps, *cells, line["commit"]]


def main(argv):
    """Runs what is missing, prints the tables."""
    for claim in argv:
        if claim not in CLAIMS:
            raise errors.BadInput(f"{claim!r}: must be one of {', '.join(CLAIMS)}")
    for claim in argv or CLAIMS:
        question, arms = CLAIMS[claim]
        for name, overrides in arms:
            if not find(name):
                command = [sys.executable, "experiments/recipe.py", f"--name={name}"]
                command += [f"--minutes={MINUTES}", "--", *overrides]
                if subprocess.run(command, cwd=HERE.parent).returncode:  # it said why
                    raise errors.FailedWork(f"the trial {name} failed")
        print(question, " | ".join(HEAD), sep="\n")
        for name, _ in arms:
            print(" | ".join(row(find(name))))


if __name__ == "__main__":
    command.run(main, takes_arguments=True)
