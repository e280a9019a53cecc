"""A figure of the paper, measured: trains, and draws unseen classes as it does.

python experiments/paper/figure.py --figure=4 --size=small
python experiments/paper/figure.py --figure=4 --size=paper      (for a GPU)

Figures 3 (MNIST, unseen 9), 4 and 5 (Omniglot), 6 (Omniglot, 64x64, 8 shots), 7 to 9
(FIGR-8), and `icons`, open_icons beside them. Figures 1 and 2 are of the data:
`python -m figr_jax.prepare --dataset=open_icons --report=FOLDER`. `paper` is the config
of that experiment as it stands; `small` is for two CPU cores within hours: the same
config with the quickstart's networks and rates, and 5,000 meta-steps. The same command
goes on with a run that was stopped. Writes figure_<figure>_<size>.png and .json into
experiments/results: the first four held-out classes of the drawn split (of figure 3:
the one), not picked; each with its support in red.
"""

import json
import pathlib
import runpy

from absl import flags
from PIL import Image

from figr_jax import compilation, errors, files, provenance, training

ROOT = pathlib.Path(__file__).parent.parent.parent
RESULTS = ROOT / "experiments" / "results"
SMALL_STEPS = 5000

# Of each figure: its config, and its meta-steps in the paper.
FIGURES = {
    "3": ("mnist", 50_000),
    "4": ("omniglot", 140_000),
    "5": ("omniglot", 230_000),
    "6": ("omniglot64", 150_000),
    "7": ("figr8", 80_000),
    "8": ("figr8", 90_000),
    "9": ("figr8", 100_000),
    "icons": ("open_icons", 100_000),
}

_FIGURE = flags.DEFINE_enum("figure", None, list(FIGURES), "Which.", required=True)
_SIZE = flags.DEFINE_enum("size", "small", ("small", "paper"), "Of networks and run.")
_STEPS = flags.DEFINE_integer(
    "meta_steps", None, "Instead of those of the size.", lower_bound=1
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where prepared data sets live.")


def read_config(name):
    """The config of `configs/<name>.py`."""
    return runpy.run_path(str(ROOT / "configs" / f"{name}.py"))["get_config"]()


def make_config(name, size, steps):
    """The config of a figure."""
    config = read_config(name)
    config.run.update(meta_steps=steps, save_every=200, sample_every=1000)
    if size == "small":
        small = read_config("quickstart")
        config.networks.update(small.networks)
        config.networks.stages += config.dataset.image_size // 64  # also down to 4x4
        config.inner.update(small.inner, shots=config.inner.shots)
        config.outer.update(small.outer)
        config.run.log_every = 50
    return config


def main(argv):
    """Trains, copies the last grid, writes what made it."""
    del argv
    compilation.keep_programs()
    name, paper_steps = FIGURES[_FIGURE.value]
    steps = SMALL_STEPS if _SIZE.value == "small" else paper_steps
    steps = _STEPS.value or steps
    config = make_config(name, _SIZE.value, steps)
    workdir = pathlib.Path(f"runs/paper_{name}_{_SIZE.value}")
    state = training.train(config, workdir, _DATA_DIR.value)
    done = int(state.step)
    if done < steps:
        return  # asked to stop: the same command goes on
    grid = workdir / "samples" / f"{done}.png"
    out = RESULTS / f"figure_{_FIGURE.value}_{_SIZE.value}"
    files.write_bytes(out.with_suffix(".png"), grid.read_bytes())
    records = (workdir / "metrics.jsonl").read_text().splitlines()
    rates = [json.loads(line).get("meta_steps_per_second") for line in records]
    rates = sorted(rate for rate in rates if rate)
    files.write_json(
        out.with_suffix(".json"),
        {
            "figure": _FIGURE.value,
            "size": _SIZE.value,
            "meta_steps": done,
            "meta_steps_in_the_paper": paper_steps,
            "meta_steps_per_second": rates[len(rates) // 2],
            "heldout": json.loads((workdir / "split.json").read_text())["heldout"][:4],
            "pixels": Image.open(grid).size,
            "config": config.to_dict(),
            **provenance.describe(),
        },
    )
    print(f"wrote {out}.png and {out}.json")


if __name__ == "__main__":
    errors.run(main)
