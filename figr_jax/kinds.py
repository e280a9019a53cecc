"""Finds a drawing that shows another thing than the rest of a support.

By the distances between prototypical features (Snell et al. 2017) of a network that
ships with the package, made by experiments/kinds.py. It saw the training classes of
Omniglot, glyphs and open_icons.
"""

import functools
import pathlib

import numpy as np
from scipy.sparse import csgraph

from figr_jax import conv4
from figr_jax.data import styles

PATH = pathlib.Path(__file__).parent / "weights" / "kinds" / "kinds.npz"
FEWEST = 3  # images, of which one can be unlike the rest


@functools.cache
def _load():
    return conv4.read(PATH)


def find_odd(support, style):
    """Finds the images that are of another kind than most of a support.

    Images are of one kind if a chain of small distances connects them.

    Args:
      support: `[n, H, W, C]` uint8.
      style: `styles.Style` of the model's data.

    Returns:
      Their numbers, `[<= n]` int; none of fewer than `FEWEST` images, of images in
      colour, which the network does not know, or where the data are no drawings.
    """
    unknown = support.shape[-1] == 3 or style.middle is None
    if len(support) < FEWEST or unknown or _load() is None:
        return np.zeros(0, int)
    distances = measure(_load(), support, style.background)
    near = distances <= _load().record["threshold"]
    _, kinds = csgraph.connected_components(near)
    return np.flatnonzero(kinds != np.bincount(kinds).argmax())


def measure(embedding, support, background):
    """Measures the distances between the images of a support.

    Args:
      embedding: `conv4.Embedding` of dark drawings on white.
      support: `[n, H, W, C]` uint8.
      background: of the images, a grey level in [0, 255].

    Returns:
      `[n, n]` squared distances of features.
    """
    # Thin lines are grey, and the network takes only what is darker than half for ink.
    ink = styles.find_ink(support, background)
    most = np.array([styles.find_darkness(image) for image in ink])[:, None, None]
    ink = np.clip(ink / np.maximum(most, 0.1), 0, 1)
    dark = np.round(255 * (1 - ink[..., None])).astype(np.uint8)
    features = embedding(dark).astype(np.float64)
    return ((features[:, None] - features) ** 2).sum(-1)
