"""Our version of a figure of the paper: generated images of unseen classes.

python experiments/paper/figure.py --figure=4 --size=shipped
python experiments/paper/figure.py --figure=4 --size=small_dcgan
python experiments/paper/figure.py --figure=4 --size=paper      (for a GPU)

Figures: 3 (MNIST, unseen 9), 4 and 5 (Omniglot), 6 (Omniglot, 64x64, 8 shots), 7 to 9
(FIGR-8), and `icons` (open_icons, for comparison). Figures 1 and 2 show the data:
`python -m figr_jax.prepare --dataset=open_icons --report=FOLDER`.

Sizes: `paper` trains the unchanged config of the experiment. `small`, `small_resnet`
and `small_dcgan` train on two CPU cores within hours: the same config at width 16, down
to features of 4x4, with the optimizers, learning rates and sampling settings of
configs/subpixel.py. `small` trains subpixel networks for 5,000 meta-steps. The others
train the paper's ResNet or DCGAN for 20,000 meta-steps of 5 inner steps each, and
sample with 10; of Omniglot they hold out the characters of the shipped weights.
`shipped` trains nothing and uses shipped weights.
Figures 5, 8 and 9 show 4 and 7 after longer training, so they have only `paper`. Rerun
the command to resume a stopped run.

Writes figure_<figure>_<size>.png and .json into experiments/results: four held-out
classes (for figure 3: the only one), not cherry-picked, each with its support in red.
The sizes that train show classes evenly spaced over the held-out ones; `shipped` shows
the first ones that the weights have examples of.
"""

import json
import pathlib

import numpy as np
from absl import flags

from figr_jax import config_files, generation, recipe, shipped, training
from figr_jax.common import command, compilation, errors, files, pictures, provenance
from figr_jax.data import images
from figr_jax.training import sample_grid

RESULTS = pathlib.Path(__file__).parents[1] / "results"
# For each small size: its networks, and its meta-steps.
SMALL = {
    "small": ("subpixel", 5000),
    "small_resnet": ("resnet", 20_000),
    "small_dcgan": ("dcgan", 20_000),
}

# For each figure: its config, and its meta-steps in the paper.
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

_FIGURE = flags.DEFINE_enum("figure", None, list(FIGURES), "Figure.", required=True)
_SIZE = flags.DEFINE_enum(
    "size", "small", (*SMALL, "paper", "shipped"), "Size of the run."
)
_STEPS = flags.DEFINE_integer(
    "meta_steps", None, "Meta-steps, instead of those of the size.", lower_bound=1
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")


def make_config(name, size, steps):
    """Returns the config of a figure."""
    config = config_files.load(name)
    config.run.update(meta_steps=steps, save_every=200, sample_every=1000)
    if size not in SMALL:
        return config
    small = config_files.load("subpixel")
    config.networks.update(family=SMALL[size][0], width=small.networks.width)
    config.inner.update(small.inner, shots=config.inner.shots)
    config.sampling.update(small.sampling)
    config.outer.update(small.outer)
    config.networks.stages = 3 + config.dataset.image_size // 64
    if size != "small":
        config.inner.steps, config.sampling.steps = 5, 10
        if config.dataset.name == "omniglot":
            config.dataset.split = "weak"
    return config


def train(name, paper_steps):
    """Trains; returns the last sample grid as a PNG file, and a dict of its settings.

    Returns None if the run was stopped; rerun the command to resume.
    """
    steps = SMALL[_SIZE.value][1] if _SIZE.value in SMALL else paper_steps
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
    shown = sample_grid.spread(np.array(split["heldout"]), sample_grid.GRID_CLASSES)
    return (workdir / "samples" / f"{steps}.png").read_bytes(), {
        "meta_steps": steps,
        "meta_steps_per_second": rates[len(rates) // 2],
        "heldout": shown.tolist(),
        "config": config.to_dict(),
    }


def draw_shipped(name):
    """Generates the grid of shipped weights; returns the same as `train`."""
    if f"{name}-32" not in shipped.names():
        raise errors.BadInput(
            f"--size=shipped: no shipped weights of {name}; shipped: "
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
    return images.encode(pictures.side_by_side(panels)), {
        "meta_steps": model.info["step"],
        "heldout": [label for label, _ in classes],
        "config": model.config.to_dict(),
    }


def main():
    """Makes the picture, writes it and its settings."""
    if _FIGURE.value in ("5", "8", "9") and _SIZE.value != "paper":
        raise errors.BadInput(
            f"--figure={_FIGURE.value} --size={_SIZE.value}: must be --size=paper; it "
            f"continues the run of figure {'4' if _FIGURE.value == '5' else '7'}"
        )
    compilation.keep_programs()
    name, paper_steps = FIGURES[_FIGURE.value]
    is_shipped = _SIZE.value == "shipped"
    result = draw_shipped(name) if is_shipped else train(name, paper_steps)
    if not result:
        return
    picture, record = result
    out = RESULTS / f"figure_{_FIGURE.value}_{_SIZE.value}"
    files.write_bytes(out.with_suffix(".png"), picture)
    record |= {"figure": _FIGURE.value, "size": _SIZE.value}
    record["meta_steps_in_the_paper"] = paper_steps
    files.write_json(out.with_suffix(".json"), record | provenance.describe())
    print(f"wrote {out}.png and {out}.json")


if __name__ == "__main__":
    command.run(main)
