"""Table 1 of the paper, printed from the configs.

python experiments/paper/table1.py
"""

from figr_jax import config_files
from figr_jax.common import command

NAMES = ("mnist", "omniglot", "omniglot64", "figr8")
ROWS = {
    "image size": lambda c: c.dataset.image_size,
    "shots n": lambda c: c.inner.shots,
    "inner steps K": lambda c: c.inner.steps,
    "inner optimizer": lambda c: c.inner.optimizer,
    "inner learning rate": lambda c: f"{c.inner.learning_rate:g}",
    "outer optimizer": lambda c: c.outer.optimizer,
    "outer learning rate": lambda c: f"{c.outer.learning_rate:g}",
    "penalty weight": lambda c: f"{c.inner.penalty_weight:g}",
    "networks": lambda c: f"{c.networks.family}, width {c.networks.width}",
    "latent": lambda c: c.networks.latent,
    "meta-steps": lambda c: f"{c.run.meta_steps:,}",
}


def main():
    """Prints the table as Markdown."""
    configs = {name: config_files.load(name) for name in NAMES}
    print("| | " + " | ".join(configs) + " |")
    print("| --- " * (1 + len(configs)) + "|")
    for title, find in ROWS.items():
        cells = (str(find(config)) for config in configs.values())
        print(f"| {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    command.run(main)
