"""Measurement of the gain from preparing drawings, for several guises.

python experiments/inputs.py --checkpoint=omniglot-32

Redraws the supports of 40 tuning classes of Omniglot in each guise of
experiments/guises.py, adapts to them with and without preparation, and measures the
recognizability of the generated images. Writes experiments/results/inputs.json and
.png, which shows for each guise the first four images and below them the prepared ones.
"""

import json

import guises
import numpy as np
import originals
import records
import tuning
from absl import flags

import figr_jax
from figr_jax.common import command, compilation, pictures
from figr_jax.data import bank as banks
from figr_jax.data import drawings, images

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "omniglot-32", "A model of Omniglot: shipped weights, or a run."
)
_CLASSES = flags.DEFINE_integer("classes", 40, "Tuning classes.", lower_bound=2)
_ORIGINAL = "original_files"  # of Omniglot; preparation should not change them
_GUISES = flags.DEFINE_list(
    "guises",
    [_ORIGINAL, *(guise.__name__ for guise in guises.ALL)],
    "Guises to measure; the result keeps the others.",
)

SHOWN = 4


def save_picture(path, panels):
    """Writes the panels of the guises, three in a row."""
    rows = [pictures.side_by_side(panels[i : i + 3]) for i in range(0, len(panels), 3)]
    pictures.save(path, pictures.stack(rows))


def main():
    """Measures every guise, writes the results."""
    compilation.keep_programs()
    model = figr_jax.load(_CHECKPOINT.value)
    measured = tuning.Tuning(model, classes=_CLASSES.value)
    bank, size = banks.load("omniglot", 32, 1), model.networks.image_size
    numbers = [
        [originals.find_number(bank, index, image) for image in support]
        for index, support in zip(measured.classes, measured.supports, strict=True)
    ]
    strokes = [
        [guises.find_strokes(originals.read("omniglot", i)) for i in some]
        for some in numbers
    ]
    results, rows = {}, []
    for name in _GUISES.value:
        if name == _ORIGINAL:
            given = [
                [images.from_pil(originals.read("omniglot", i), 1) for i in some]
                for some in numbers
            ]
        else:
            rng, guise = np.random.default_rng(0), getattr(guises, name)
            given = [[guise(x, rng) for x in some] for some in strokes]
        seen = {
            way: np.stack(
                [
                    drawings.prepare(x, size, model.style, redraw=way == "auto").support
                    for x in given
                ]
            )
            for way in ("none", "auto")
        }
        results[name] = {way: measured.measure(model, {}, x) for way, x in seen.items()}
        shown = [x for some in given for x in some][:SHOWN]
        after = np.concatenate(seen["auto"])[:SHOWN]
        rows.append(pictures.before_and_after(shown, after, SHOWN))
        for way, metrics in results[name].items():
            print(f"{name}, --prepare={way}: {tuning.show(metrics)}", flush=True)
    path = records.RESULTS / "inputs.json"
    if path.exists() and not set(_GUISES.default) <= set(results):
        results = json.loads(path.read_text())["guises"] | results
    else:
        save_picture(path.with_suffix(".png"), rows)
    record = {"checkpoint": _CHECKPOINT.value, "classes": len(strokes)}
    record["guises"] = results
    records.write(path.name, record)


if __name__ == "__main__":
    command.run(main)
