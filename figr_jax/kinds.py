"""Finds a drawing that shows another thing than the rest of a support.

By the distances between prototypical features (Snell et al. 2017) of a network that
ships with the package, made by experiments/kinds.py. It saw the training classes of
Omniglot, glyphs and open_icons.
"""

import functools
import pathlib

import numpy as np

from figr_jax import conv4
from figr_jax.data import styles

PATH = pathlib.Path(__file__).parent / "weights" / "kinds" / "kinds.npz"
FEWEST = 3  # images, of which one can be unlike the rest


@functools.cache
def _load():
    return conv4.read(PATH)


def find_odd(support, style):
    """Finds the images that are far from every other image of a support.

    Args:
      support: `[n, H, W, C]` uint8.
      style: `styles.Style` of the model's data.

    Returns:
      Their numbers, `[<= n]` int; none of fewer than `FEWEST` images, or where the data
      are no drawings.
    """
    if len(support) < FEWEST or style.middle is None or _load() is None:
        return np.zeros(0, int)
    distances = measure(_load(), support, style.background)
    return np.flatnonzero(distances > _load().record["threshold"])


def measure(embedding, support, background):
    """Measures how far each image of a support is from the nearest other one.

    Args:
      embedding: `conv4.Embedding` of dark drawings on white.
      support: `[n, H, W, C]` uint8, n at least 2.
      background: of the images, a grey level in [0, 255].

    Returns:
      `[n]` squared distances of features.
    """
    ink = styles.find_ink(support, background)
    dark = np.round(255 * (1 - ink[..., None])).astype(np.uint8)
    features = embedding(dark).astype(np.float64)
    distances = ((features[:, None] - features) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    return distances.min(1)
