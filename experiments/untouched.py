"""Measurement of what preparation changes in images that need none: four data sets.

python experiments/untouched.py

Gives the original files of Omniglot, glyphs, open_icons and MNIST to the preparation,
with the style of the data set. Counts the supports that it changes, which should be
nearly none, and measures the recognizability of what sketch-32 generates from supports
with and without preparation. Omniglot, glyphs and open_icons: tuning classes, each
judged by its own embedding. MNIST, which no shipped weights saw: ten digits, 10-way,
judged by the embedding of Omniglot. Writes experiments/results/untouched.json.
"""

import numpy as np
import originals
import records
import tuning
from absl import flags

import figr_jax
from figr_jax import build
from figr_jax.common import command, compilation
from figr_jax.data import bank as banks
from figr_jax.data import datasets, drawings, images, styles
from figr_jax.evaluation import embedding, metrics, samples, supports

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "sketch-32", "A model of the mix of data sets."
)
_CLASSES = flags.DEFINE_integer("classes", 40, "Supports to adapt to.", lower_bound=2)

COUNTED = 300  # supports per data set, to count the changed ones
DIGITS = 10


def prepare(bank, numbers, style, redraw):
    """Prepares the original files of a support, see `drawings.prepare`."""
    given = [images.from_pil(originals.read(bank.dataset, i), 1) for i in numbers]
    return drawings.prepare(given, bank.images.shape[1], style, redraw=redraw)


def count_redrawn(bank, style, shots=4):
    """Returns the share of random supports that preparation changes."""
    rng, redrawn = np.random.default_rng(0), 0
    enough = np.flatnonzero(np.diff(bank.class_start) >= shots)
    for index in rng.choice(enough, COUNTED):
        first, last = bank.class_start[index : index + 2]
        numbers = rng.choice(np.arange(first, last), shots, replace=False)
        redrawn += prepare(bank, numbers, style, True).redrawn.any()
    return redrawn / COUNTED


class Digits:
    """MNIST in place of tuning classes: the same interface as `tuning.Tuning`."""

    def __init__(self, model, bank, count=32):
        """Draws several supports of each digit, and loads the judge."""
        self._count = count
        rounds = -(-_CLASSES.value // DIGITS)
        self.classes = np.tile(np.arange(DIGITS), rounds)
        draws = [
            supports.draw_supports(bank, np.arange(DIGITS), 4, seed)
            for seed in range(rounds)
        ]
        self.supports = np.concatenate([draw.supports for draw in draws])
        self._prototypes = [255 - draw.prototypes for draw in draws]
        omniglot = banks.load("omniglot", bank.images.shape[1], 1)
        split = model.split(omniglot)
        self._embedding = embedding.load(omniglot, split, "prototypical")

    def measure(self, model, _, given):
        """Measures recognizability: a dict as of `tuning.Tuning.measure`."""
        options = build.sampling(model.config)
        drawn, _ = samples.adapt_and_draw(
            model.networks, options, model.slow, 255 - given, 0, self._count
        )
        right = []
        for first, prototypes in enumerate(self._prototypes):
            known = self._embedding(prototypes)
            for digit in range(DIGITS):
                features = self._embedding(drawn[first * DIGITS + digit, 0])
                hits = metrics.recognizability(features, digit, known, DIGITS)
                right.append(hits.mean())
        right = np.reshape(right, (-1, DIGITS)).mean(0)  # classes, not supports
        low, high = metrics.bootstrap(lambda i: right[i].mean(), DIGITS)
        mean = float(right.mean())
        return {"recognizability": {"mean": mean, "low": low, "high": high}}


def main():
    """Measures the four data sets, writes the results."""
    compilation.keep_programs()
    model, results = figr_jax.load(_CHECKPOINT.value), {}
    for name in (*datasets.parts(model.config.dataset.name), "mnist"):
        bank = banks.load(name, model.networks.image_size, 1)
        style = styles.measure(bank.images[:: len(bank.images) // 1000 + 1])
        if name == "mnist":
            measured = Digits(model, bank)
        else:
            measured = tuning.Tuning(model, name, classes=_CLASSES.value)
        numbers = [
            [originals.find_number(bank, index, image) for image in support]
            for index, support in zip(measured.classes, measured.supports, strict=True)
        ]
        results[name] = {"redrawn": count_redrawn(bank, style)}
        for way in ("none", "auto"):
            given = [prepare(bank, some, style, way == "auto") for some in numbers]
            seen = np.stack([prepared.support for prepared in given])
            values = measured.measure(model, {}, seen)
            results[name][way] = values["recognizability"]
        print(name, results[name], flush=True)
    record = {"checkpoint": _CHECKPOINT.value, "data_sets": results}
    records.write("untouched.json", record)


if __name__ == "__main__":
    command.run(main)
