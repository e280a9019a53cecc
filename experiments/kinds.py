"""Trains and ships the network that finds a drawing of another kind in a support.

python experiments/kinds.py

Trains a prototypical network on the training classes of sketch-32's mix of data sets.
Draws supports of four from tuning classes, and chooses the threshold that 10 % of them
exceed. Then measures on report classes how many supports are flagged, as they are and
with one image of another class. Writes the network with its threshold to
figr_jax/weights/kinds, and the shares to experiments/results/kinds.json.
"""

import numpy as np
import records
from absl import flags
from scipy.sparse import csgraph

from figr_jax import conv4, generation, kinds
from figr_jax.common import command, compilation
from figr_jax.data import bank as banks
from figr_jax.data import datasets
from figr_jax.evaluation import embedding_training

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where prepared data sets live.")

CACHE = records.ROOT / "runs" / "kinds.npz"
SHOTS = 4
SUPPORTS = 400  # of each data set
FALSE_ALARMS = 0.1


def train(model):
    """Trains the network, or reads what an earlier call trained."""
    if trained := conv4.read(CACHE):
        return trained
    config = model.config.dataset
    bank = banks.load(config.name, config.image_size, 1, _DATA_DIR.value)
    training, _ = model.split(bank).indices(bank.names)
    variables = embedding_training.train(bank, training, "prototypical", 0)
    trained = conv4.Embedding(variables, {"kind": "prototypical", "seed": 0})
    CACHE.parent.mkdir(exist_ok=True)
    conv4.write(CACHE, trained)
    return trained


def draw_supports(bank, names, split, is_mixed):
    """Draws supports of four; of the mixed ones, the last image is of another class.

    Args:
      bank: `bank.Bank`.
      names: of the classes to draw from.
      split: `splits.Split` of the bank.
      is_mixed: whether they are mixed.

    Returns:
      A list of `[SHOTS, H, W, C]` uint8.
    """
    classes, rng = split.find(names, bank.names), np.random.default_rng(0)
    classes = classes[np.diff(bank.class_start)[classes] >= SHOTS]
    supports = []
    for _ in range(SUPPORTS):
        own, other = rng.choice(classes, 2, replace=False)
        support = rng.choice(bank.class_images(own), SHOTS, replace=False)
        if is_mixed:
            support[-1] = rng.choice(bank.class_images(other))
        supports.append(support)
    return supports


def find_least(embedding, support):
    """Returns the least threshold at which a support is of one kind."""
    distances = kinds.measure(embedding, support, 255)
    return csgraph.minimum_spanning_tree(distances).max()


def main():
    """Trains, chooses the threshold, measures, writes."""
    compilation.keep_programs()
    model = generation.load("sketch-32")
    embedding = train(model)
    parts, least = {}, []
    for name in datasets.parts(model.config.dataset.name):
        bank = banks.load(name, 32, 1, _DATA_DIR.value)
        split = model.split(bank)
        parts[name] = bank, split
        supports = draw_supports(bank, split.tuning, split, False)
        least += [find_least(embedding, x) for x in supports]
    threshold = float(np.quantile(least, 1 - FALSE_ALARMS))
    shares = {}
    for name, (bank, split) in parts.items():
        flagged = [
            np.mean(
                [
                    find_least(embedding, x) > threshold
                    for x in draw_supports(bank, split.report, split, is_mixed)
                ]
            )
            for is_mixed in (False, True)
        ]
        titles = "flagged as they are", "flagged with one of another class"
        shares[name] = dict(zip(titles, map(float, flagged), strict=True))
        print(name, shares[name], flush=True)
    embedding.record["threshold"] = threshold
    kinds.PATH.parent.mkdir(exist_ok=True)
    conv4.write(kinds.PATH, embedding, np.float16)
    print(f"wrote {kinds.PATH}")
    records.write("kinds.json", {"threshold": threshold, "shares": shares})


if __name__ == "__main__":
    command.run(main)
