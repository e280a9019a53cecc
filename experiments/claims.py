"""Tests of the paper's claims and choices: two or more configs, equal training time.

python experiments/claims.py joint penalty

Prints a table per named claim (default: all claims). Runs experiments/sweep.py for each
arm that was not measured yet. experiments/results_page.py writes all tables to one
page. The figures of results/claims.jsonl were measured by an earlier script, on
held-out classes that were not split into tuning and report classes yet.
"""

import json
import pathlib
import subprocess
import sys

from figr_jax.common import command, errors
from figr_jax.evaluation import presentation

HERE = pathlib.Path(__file__).parent
LOGS = HERE / "results" / "claims.jsonl", HERE / "results" / "sweep.jsonl"
BASE = "configs/subpixel.py"
# The claims are about the paper's algorithm, which has none of what is changed here.
OVERRIDES = (
    "--config.networks.minibatch_std=False",
    "--config.sampling.critic_steps=0",
    "--config.sampling.decay_rate=1.0",
    "--config.outer.decay=0.0",
)
MINUTES = 5  # core minutes of training per arm
METRICS = ("recognizability", "diversity", "kid", "pooled_copying")
HEAD = ["trial", "overrides", "core minutes", "meta-steps"]
HEAD += [*(presentation.METRICS[metric][0] for metric in METRICS), "commit"]

_SGD = ["--config.inner.optimizer=sgd", "--config.inner.optimizer_args="]
_BASE = ("base", [])
_STEPS = ("steps600", ["--adaptations=600"])  # as many as fit into `MINUTES`

# For each claim: its question, and its arms (name, flags of experiments/sweep.py).
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
            ("steps150", ["--adaptations=150"]),
            ("steps300", ["--adaptations=300"]),
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
    """Returns the last line of the trial `name`, or None."""
    lines = [json.loads(x) for log in LOGS for x in log.read_text().splitlines()]
    lines = [x for x in lines if (x["trial"], x["base"]) == (name, BASE)]
    return lines[-1] if lines else None


def run(name, arm):
    """Trains and measures an arm, within the time limit or for its `--adaptations`.

    Raises:
      FailedWork: if the trial fails.
    """
    flags = [x for x in arm if x.startswith("--adaptations")]
    overrides = [*OVERRIDES, *(x for x in arm if x not in flags)]
    program = [sys.executable, "experiments/sweep.py", f"--name={name}"]
    program += [f"--base={BASE}", f"--minutes={MINUTES}", *flags, "--", *overrides]
    if subprocess.run(program, cwd=HERE.parent).returncode:
        raise errors.FailedWork(f"the trial {name} failed; see its error")


def row(line):
    """Returns the cells of a line of the log, in the order of `HEAD`."""
    cells = ["failed"] * len(METRICS)
    if "kid" in line:
        cells = [presentation.cell(line, metric) for metric in METRICS]
    changed = (x for x in line["overrides"] if x not in OVERRIDES)
    overrides = " ".join(x.removeprefix("--config.") for x in changed) or "-"
    steps = f"{line['meta_steps']:,}" if "meta_steps" in line else "-"
    minutes = f"{line['core_minutes']:.1f}"
    return [line["trial"], f"`{overrides}`", minutes, steps, *cells, line["commit"]]


def main(argv):
    """Runs the missing trials, prints the tables."""
    for claim in argv:
        if claim not in CLAIMS:
            raise errors.BadInput(f"{claim!r}: must be one of {', '.join(CLAIMS)}")
    for claim in argv or CLAIMS:
        question, arms = CLAIMS[claim]
        for name, arm in arms:
            if not find(name):
                run(name, arm)
        print(question, " | ".join(HEAD), sep="\n")
        for name, _ in arms:
            print(" | ".join(row(find(name))))


if __name__ == "__main__":
    command.run(main, takes_arguments=True)
