"""Images generated from new sketches of twenty kinds of things.

python experiments/sketches.py --checkpoint=sketch-32

Adapts to four shaky sketches of each kind and generates 64 images. Writes
experiments/results/sketches_<checkpoint>.png with the first images of every kind, not
cherry-picked, and .json. For each kind, the .json has the variety (the mean pairwise
distance of the images divided by that of the four sketches) and the number of images
that the studio counts as copies. As a control, it also counts copies among 64 further
sketches of the kind.
"""

import pathlib

import drawings
import numpy as np
import records
from absl import flags
from scipy.spatial import distance

import figr_jax
from figr_jax.common import command, compilation, pictures
from figr_jax.studio import similarity

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "sketch-32", "A run's folder, or the name of shipped weights."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of sketches, adaptation and latents.")

SHOTS = 4
COUNT = 64  # images to measure, per kind
SHOWN = 8  # images in the picture, per kind
ROW = 4  # kinds in a row


def spread(images):
    """Computes the mean pairwise distance of `[N, H, W, C]` uint8, scaled to [0, 1]."""
    return float(distance.pdist(images.reshape(len(images), -1) / 255).mean())


def count_copies(images, support):
    """Counts the images that the studio calls copies of a support image."""
    return int((similarity.similarity(images, support).max(1) >= similarity.COPY).sum())


def more_sketches(model, strokes, rng):
    """Renders `COUNT` sketches of a kind: `[COUNT, H, W, C]` uint8."""
    sketches = (drawings.sketch(strokes, rng) for _ in range(COUNT))
    return np.concatenate([model.read([sketch]) for sketch in sketches])


def main():
    """Generates images of every kind, writes the picture and the figures."""
    compilation.keep_programs()
    model, rng = figr_jax.load(_CHECKPOINT.value), np.random.default_rng(_SEED.value)
    control_rng = np.random.default_rng([_SEED.value, 1])
    panels, kinds = [], {}
    for name, strokes in drawings.SKETCHES.items():
        sketches = [drawings.sketch(strokes, rng) for _ in range(SHOTS)]
        support, drawn = drawings.redraw(model, sketches, COUNT, _SEED.value)
        control = more_sketches(model, strokes, control_rng)
        kinds[name] = {
            "variety": spread(drawn) / spread(support),
            "copies": count_copies(drawn, support),
            "control_copies": count_copies(control, support),
        }
        print(name, kinds[name], flush=True)
        panels.append(pictures.panel(support, drawn[:SHOWN], columns=SHOTS))
    rows = [
        pictures.side_by_side(panels[first : first + ROW])
        for first in range(0, len(panels), ROW)
    ]
    record = {
        "checkpoint": _CHECKPOINT.value,
        "meta_steps": model.info["step"],
        "seed": _SEED.value,
        "images": COUNT,
        "mean_variety": float(np.mean([kind["variety"] for kind in kinds.values()])),
        "copies": sum(kind["copies"] for kind in kinds.values()),
        "control_copies": sum(kind["control_copies"] for kind in kinds.values()),
        "kinds": kinds,
    }
    print(
        f"mean variety {record['mean_variety']:.2f}, {record['copies']} copies; of "
        f"further sketches, {record['control_copies']}"
    )
    name = f"sketches_{pathlib.Path(_CHECKPOINT.value).name}"
    pictures.save(records.RESULTS / f"{name}.png", np.concatenate(rows))
    records.write(f"{name}.json", record)


if __name__ == "__main__":
    command.run(main)
