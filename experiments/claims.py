"""Tests of the paper's claims and choices: two or more configs, equal training time.

python experiments/claims.py joint penalty

Prints a table per named claim (default: all claims). The values of
results/claims.jsonl were measured by an earlier script, on 50 held-out classes that
were not split into tuning and report classes yet, with 64 images each. Runs
experiments/sweep.py for the arms of a claim that neither claims.jsonl nor
sweep.jsonl contains completely.
experiments/results_page.py writes all tables to one page.
"""

import subprocess
import sys

import records

from figr_jax.common import command, errors
from figr_jax.evaluation import presentation

PREFIX = "claim_"  # of the names of trials in the log of experiments/sweep.py
# Each log with the prefix of its trials. Figures of different logs cannot be compared.
LOGS = {"claims.jsonl": "", "sweep.jsonl": PREFIX}
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
        [
            _BASE,
            # Adapts to unseen classes with as many inner steps as the other arm.
            ("joint", ["--config.inner.steps=1", "--config.sampling.steps=10"]),
        ],
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


def find(log):
    """Returns the trials of a log of `LOGS`, a dict of name to last line."""
    prefix = LOGS[log]
    return {
        line["trial"].removeprefix(prefix): line
        for line in records.read_log(log)
        if line["trial"].startswith(prefix)
    }


def read(arms):
    """Returns the lines of the arms of a claim; None if no log has all of them."""
    for trials in map(find, LOGS):
        if all(name in trials for name, _ in arms):
            return [trials[name] for name, _ in arms]
    return None


def run(name, arm):
    """Trains and measures an arm, within the time limit or for its `--adaptations`.

    Raises:
      FailedWork: if the trial fails.
    """
    flags = [x for x in arm if x.startswith("--adaptations")]
    overrides = [*OVERRIDES, *(x for x in arm if x not in flags)]
    program = [sys.executable, "experiments/sweep.py", f"--name={PREFIX}{name}"]
    program += [f"--base={BASE}", f"--minutes={MINUTES}", *flags, "--", *overrides]
    if subprocess.run(program, cwd=records.ROOT).returncode:
        raise errors.FailedWork(f"the trial {name} failed; see its error")


def row(line):
    """Returns the cells of a line of a log, in the order of `HEAD`."""
    changed = (x for x in line["overrides"] if x not in OVERRIDES)
    overrides = " ".join(x.removeprefix("--config.") for x in changed) or "-"
    return [
        line["trial"].removeprefix(PREFIX),
        f"`{overrides}`",
        f"{line['core_minutes']:.1f}",
        f"{line['meta_steps']:,}",
        *(presentation.cell(line, metric) for metric in METRICS),
        line["commit"],
    ]


def main(argv):
    """Runs the missing trials, prints the tables."""
    for claim in argv:
        if claim not in CLAIMS:
            raise errors.BadInput(f"{claim!r}: must be one of {', '.join(CLAIMS)}")
    for claim in argv or CLAIMS:
        question, arms = CLAIMS[claim]
        if not read(arms):
            measured = find("sweep.jsonl")
            for name, arm in arms:
                if name not in measured:
                    run(name, arm)
        print(question, " | ".join(HEAD), sep="\n")
        for line in read(arms):
            print(" | ".join(row(line)))


if __name__ == "__main__":
    command.run(main, takes_arguments=True)
