"""The paper's claims and choices, each tested: two or more recipes, equal time.

python experiments/claims.py --claim=joint --minutes=20

Runs experiments/recipe.py for each arm of a claim that has no line yet of that many
minutes, and writes the table of all arms into experiments/results/claim_<claim>.md.
"""

import json
import pathlib
import subprocess
import sys

from absl import app, flags

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results"
METRICS = ("recognizability", "diversity", "kid", "pooled_copying")

# Of each claim: what is asked, and its arms: name to overrides of the quickstart.
BASE = ("base", [])
CLAIMS = {
    "joint": (
        "Reptile (K = 10) against joint training (K = 1)",
        [BASE, ("joint", ["--config.inner.steps=1"])],
    ),
    "shots": ("4 shots against 8", [BASE, ("shots8", ["--config.inner.shots=8"])]),
    "penalty": (
        "the penalty of the paper against that of the published code (per pixel)",
        [BASE, ("pixel", ["--config.inner.loss=wgan_gp_published"])],
    ),
    "inner_optimizer": (
        "inner Adam against inner SGD",
        [
            BASE,
            (
                "sgd",
                ["--config.inner.optimizer=sgd", "--config.inner.optimizer_args="],
            ),
        ],
    ),
    "rates": (
        "the best rates found against those of the paper and of the published code",
        [
            BASE,
            (
                "paper_rates",
                [
                    *("--config.inner.optimizer=sgd", "--config.inner.optimizer_args="),
                    *("--config.inner.learning_rate=1e-4",),
                    *("--config.outer.learning_rate=1e-5",),
                ],
            ),
        ],
    ),
    "networks": (
        "DCGAN against ResNet, equal time",
        [BASE, ("resnet", ["--config.networks.family=resnet"])],
    ),
    "tasks": (
        "one task a meta-step against four, equal time",
        [BASE, ("tasks4", ["--config.outer.tasks=4"])],
    ),
}

_CLAIM = flags.DEFINE_enum("claim", None, list(CLAIMS), "Which.", required=True)
_MINUTES = flags.DEFINE_float("minutes", 20, "Of training, each arm.", lower_bound=0.1)


def find(name):
    """The last line of a trial of that name and time; None if there is none."""
    path = RESULTS / "recipe.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    lines = (json.loads(line) for line in lines)
    found = [x for x in lines if (x["trial"], x["minutes"]) == (name, _MINUTES.value)]
    return found[-1] if found else None


def main(argv):
    """Runs what is missing, writes the table."""
    del argv
    question, arms = CLAIMS[_CLAIM.value]
    rows = []
    for name, overrides in arms:
        if not find(name):
            command = [sys.executable, HERE / "recipe.py", f"--name={name}"]
            command += [f"--minutes={_MINUTES.value}", "--", *overrides]
            subprocess.run(command, check=True)
        line = find(name)
        cells = ["failed"] * len(METRICS)
        if "model" in line:
            form = "{mean:.2f} ({low:.2f}, {high:.2f})"
            cells = [form.format_map(line["model"][metric]) for metric in METRICS]
        steps = line.get("meta_steps", 0)
        rows.append(
            " | ".join([f"| {name}", f"{steps:,}", *cells, line["commit"], "|"])
        )
    titles = " | ".join(metric.replace("_", " ") for metric in METRICS)
    head = f"| arm | meta-steps | {titles} | commit |"
    text = [
        f"# {question[0].upper()}{question[1:]}",
        "",
        f"Omniglot, split `weak`, {_MINUTES.value:g} minutes of training each; 50 "
        "held-out classes, mean and 95 % interval; seed 0, one run.",
        "",
        head,
        "| --- " * (head.count("|") - 1) + "|",
        *rows,
        "",
    ]
    path = RESULTS / f"claim_{_CLAIM.value}.md"
    path.write_text("\n".join(text))
    print(path.read_text())


if __name__ == "__main__":
    app.run(main)
