"""Similarity of generated images to drawings, without a trained network."""

import itertools

import numpy as np
from scipy import ndimage

# Similarity from which an image counts as a copy. Of real images by other people
# (Omniglot), 0.4 % are as similar to one of four others; of printed type, 19 %.
COPY = 0.95
_BLUR = 0.02  # share of the image's side
_SHIFT = 0.06  # largest shift, as a share of the image's side


def similarity(images, support):
    """Computes the correlation of blurred images at the best small shift.

    Args:
      images: `[m, H, W, C]` uint8.
      support: `[n, H, W, C]` uint8.

    Returns:
      `[m, n]` in [-1, 1]; 1 for the same drawing, slightly shifted.
    """
    ours, theirs = _normalize(images), _normalize(support)
    most = round(_SHIFT * images.shape[1])
    moves = itertools.product(range(-most, most + 1), repeat=2)
    shifted = (np.roll(theirs, move, axis=(1, 2)) for move in moves)
    return np.max([np.tensordot(ours, x, [[1, 2, 3]] * 2) for x in shifted], axis=0)


def _normalize(images):
    """Blurs images, then scales them to mean 0 and norm 1."""
    blur = _BLUR * images.shape[1]
    blurred = ndimage.gaussian_filter(images.astype(np.float32), (0, blur, blur, 0))
    centred = blurred - blurred.mean((1, 2, 3), keepdims=True)
    norm = np.sqrt((centred**2).sum((1, 2, 3), keepdims=True))
    return centred / np.maximum(norm, 1e-6)
