"""The README's pictures, from shipped weights and from a run of the quickstart.

python experiments/readme_pictures.py --checkpoint=runs/quickstart

Writes own_images.png into experiments/results: four shaky sketches of a house, four of
a fish, and a letter in four typefaces of matplotlib, each with images that shipped
weights generate as in `figr_jax.sample`. With --checkpoint, also writes quickstart.png,
the last sample grid of that run. A .json file next to each picture records its source.
"""

import json
import pathlib

import drawings
import matplotlib
import numpy as np
import records
from absl import flags
from PIL import Image, ImageDraw, ImageFont

import figr_jax
from figr_jax.common import command, files, pictures

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Folder of a run of the quickstart, for its picture."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of sketches, adaptation and latents.")

SHIPPED = "sketch-64"


def letter(character, face):
    """Renders a character in a typeface of matplotlib to a PIL image."""
    path = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", f"{face}.ttf")
    image = Image.new("L", (drawings.SIDE, drawings.SIDE), 255)
    font = ImageFont.truetype(path, int(0.95 * drawings.SIDE))
    middle = (drawings.SIDE / 2, drawings.SIDE / 2)
    ImageDraw.Draw(image).text(middle, character, fill=0, font=font, anchor="mm")
    return image


def write_quickstart(run):
    """Copies the last sample grid of a run, and records its source."""
    step = figr_jax.load(run).info["step"]
    grid = run / "samples" / f"{step}.png"
    files.write_bytes(records.RESULTS / "quickstart.png", grid.read_bytes())
    config = json.loads((run / "config.json").read_text())
    records.write("quickstart.json", {"meta_steps": step, "config": config})


def write_own_images(seed):
    """Generates images from sketches and from a letter."""
    model, rng = figr_jax.load(SHIPPED), np.random.default_rng(seed)
    own = [
        [drawings.sketch(drawings.SKETCHES["house"], rng) for _ in range(4)],
        [drawings.sketch(drawings.SKETCHES["fish"], rng) for _ in range(4)],
        [letter("R", face) for face in ("cmr10", "cmb10", "cmss10", "cmmi10")],
    ]
    drawn = [drawings.redraw(model, few, 12, seed) for few in own]
    panels = [pictures.panel(support, new, len(support)) for support, new in drawn]
    pictures.save(records.RESULTS / "own_images.png", pictures.side_by_side(panels))
    records.write("own_images.json", {"model": SHIPPED, "seed": seed})


def main():
    """Writes the pictures."""
    write_own_images(_SEED.value)
    if _CHECKPOINT.value:
        write_quickstart(pathlib.Path(_CHECKPOINT.value))


if __name__ == "__main__":
    command.run(main)
