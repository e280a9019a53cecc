"""A figure of the paper, measured: trains, and draws unseen classes as it does.

python experiments/paper/figure.py --figure=4 --size=shipped
python experiments/paper/figure.py --figure=4 --size=small
python experiments/paper/figure.py --figure=4 --size=paper      (for a GPU)

Figures 3 (MNIST, unseen 9), 4 and 5 (Omniglot), 6 (Omniglot, 64x64, 8 shots), 7 to 9
(FIGR-8), and `icons`, open_icons beside them. Figures 1 and 2 are of the data:
`python -m figr_jax.prepare --dataset=open_icons --report=FOLDER`. `paper` is the config
of that experiment as it stands; `small` is for two CPU cores within hours: the same
config with the networks and rates of configs/subpixel.py, and 5,000 meta-steps;
`shipped` trains nothing and takes the weights that ship. Figures 5, 8 and 9 are 4 and 7
after longer training, so there is only `paper` of them. The same command continues a
run that was stopped. Writes figure_<figure>_<size>.png and .json into
experiments/results: the first four held-out classes of the drawn split (of figure 3:
the one), not picked; each with its support in red.
"""

import json
import pathlib
import runpy

import numpy as np
from absl import flags

from figr_jax import (
    command,
    compilation,
    errors,
    files,
    generation,
    pictures,
    provenance,
    recipe,
    shipped,
    training,
)
from figr_jax.training import sample_grid

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
_SIZE = flags.DEFINE_enum(
    "size", "small", ("small", "paper", "shipped"), "Of networks and run."
)
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
        small = read_config("subpixel")
        # Made for glyphs: on Omniglot it costs recognizability (recipe.jsonl).
        config.networks.update(small.networks, minibatch_std=False)
        config.networks.stages += config.dataset.image_size // 64  # also down to 4x4
        config.inner.update(small.inner, shots=config.inner.shots)
        config.sampling.update(small.sampling)
        config.outer.update(small.outer)
    return config


def train(name, paper_steps):
    """Trains; the grid of the last meta-step as a PNG file and what made it.

    None if it was asked to stop: the same command goes on.
    """
    steps = SMALL_STEPS if _SIZE.value == "small" else paper_steps
    steps = _STEPS.value or steps
    config = make_config(name, _SIZE.value, steps)
    workdir = pathlib.Path(f"runs/paper_{name}_{_SIZE.value}")
    state = training.train(config, workdir, _DATA_DIR.value)
    if int(state.step) < steps:
        return None
    records = (workdir / "metrics.jsonl").read_text().splitlines()
    rates = [json.loads(line).get("meta_steps_per_second") for line in records]
    rates = sorted(rate for rate in rates if rate)
    split = json.loads((workdir / "split.json").read_text())
    return (workdir / "samples" / f"{steps}.png").read_bytes(), {
        "meta_steps": steps,
        "meta_steps_per_second": rates[len(rates) // 2],
        "heldout": split["heldout"][: sample_grid.GRID_CLASSES],
        "config": config.to_dict(),
    }


def draw_shipped(name):
    """The same of the weights that ship."""
    if f"{name}-32" not in shipped.names():
        raise errors.BadInput(
            f"--size=shipped: no weights of {name} ship; shipped: "
            f"{', '.join(shipped.names()) or 'none'}"
        )
    model = generation.load(f"{name}-32")
    shots = model.config.inner.shots
    classes = list(model.info["examples"].items())[: sample_grid.GRID_CLASSES]
    panels = []
    for _, texts in classes:
        drawings = [recipe.decode(text, model.networks.channels) for text in texts]
        support = np.stack(drawings[:shots])
        generated = model.adapt(support).generate(sample_grid.GRID_ROWS * shots)
        panels.append(pictures.panel(support, generated, columns=shots))
    return pictures.encode(pictures.side_by_side(panels)), {
        "meta_steps": model.info["step"],
        "heldout": [label for label, _ in classes],
        "config": model.config.to_dict(),
    }


def main():
    """Makes the picture, writes what made it."""
    if _FIGURE.value in ("5", "8", "9") and _SIZE.value != "paper":
        raise errors.BadInput(
            f"--figure={_FIGURE.value} --size={_SIZE.value}: must be --size=paper; the "
            f"others of figure {'4' if _FIGURE.value == '5' else '7'} show the same run"
        )
    compilation.keep_programs()
    name, paper_steps = FIGURES[_FIGURE.value]
    found = draw_shipped(name) if _SIZE.value == "shipped" else train(name, paper_steps)
    if not found:
        return
    picture, made = found
    out = RESULTS / f"figure_{_FIGURE.value}_{_SIZE.value}"
    files.write_bytes(out.with_suffix(".png"), picture)
    made |= {"figure": _FIGURE.value, "size": _SIZE.value}
    made["meta_steps_in_the_paper"] = paper_steps
    files.write_json(out.with_suffix(".json"), made | provenance.describe())
    print(f"wrote {out}.png and {out}.json")


if __name__ == "__main__":
    command.run(main)
