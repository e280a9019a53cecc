"""Twenty kinds of drawing that no data set has: four shaky sketches of each, redrawn.

python experiments/sketches.py --checkpoint=sketch-32

Adapts to the four sketches of each kind and draws 64 images. Writes
experiments/results/sketches_<checkpoint>.png, the first images of every kind, none
picked, and .json. For each kind it has the variety: the mean pairwise distance of the
images divided by that of the four sketches; and how many images the studio calls
copies.
"""

import pathlib

import drawings
import numpy as np
from absl import flags
from scipy.spatial import distance

import figr_jax
from figr_jax import command, compilation, files, pictures, provenance
from figr_jax.studio import likeness

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "sketch-32", "A run's folder, or the name of shipped weights."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of sketches, adaptation and latents.")

RESULTS = pathlib.Path(__file__).parent / "results"
SHOTS = 4
COUNT = 64  # images to measure
SHOWN = 8  # of them in the picture
ROW = 4  # kinds side by side


def spread(images):
    """Mean pairwise distance of images `[N, H, W, C]` uint8, in units of a pixel."""
    return float(distance.pdist(images.reshape(len(images), -1) / 255).mean())


def main():
    """Redraws every kind, writes the sheet and the figures."""
    compilation.keep_programs()
    model, rng = figr_jax.load(_CHECKPOINT.value), np.random.default_rng(_SEED.value)
    panels, kinds = [], {}
    for name, strokes in drawings.SKETCHES.items():
        sketches = [drawings.sketch(strokes, rng) for _ in range(SHOTS)]
        support, drawn = drawings.redraw(model, sketches, COUNT, _SEED.value)
        near = likeness.likeness(drawn, support).max(1)
        kinds[name] = {
            "variety": spread(drawn) / spread(support),
            "copies": int((near >= likeness.COPY).sum()),
        }
        print(name, kinds[name], flush=True)
        panels.append(pictures.panel(support, drawn[:SHOWN], columns=SHOTS))
    rows = [
        pictures.side_by_side(panels[first : first + ROW])
        for first in range(0, len(panels), ROW)
    ]
    made = {
        "checkpoint": _CHECKPOINT.value,
        "meta_steps": model.info["step"],
        "seed": _SEED.value,
        "images": COUNT,
        "mean_variety": float(np.mean([kind["variety"] for kind in kinds.values()])),
        "copies": sum(kind["copies"] for kind in kinds.values()),
        "kinds": kinds,
    }
    print(f"mean variety {made['mean_variety']:.2f}, {made['copies']} copies")
    path = RESULTS / f"sketches_{pathlib.Path(_CHECKPOINT.value).name}.json"
    pictures.save(path.with_suffix(".png"), np.concatenate(rows))
    files.write_json(path, made | provenance.describe())
    print(f"wrote {path} and .png")


if __name__ == "__main__":
    command.run(main)
