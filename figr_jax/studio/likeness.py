"""Similarity of generated images to drawings, without a trained network."""

import numpy as np
from scipy import ndimage

# Similarity from which an image counts as a copy. Of real images by other people
# (Omniglot), 0.4 % are as similar to one of four others; of printed type, 19 %.
COPY = 0.95
_BLUR = 0.02  # share of the image's side
_SHIFT = 0.06  # largest shift, as a share of the image's side


def likeness(images, support):
    """Computes the correlation of blurred images at the best small shift.

    Args:
      images: `[m, H, W, C]` uint8.
      support: `[n, H, W, C]` uint8.

    Returns:
      `[m, n]` in [-1, 1]; 1 for the same drawing, slightly shifted.
    """
    side = images.shape[1]
    ours, theirs = (_normalise(_blur(x, side)) for x in (images, support))
    most = round(_SHIFT * side)
    moves = range(-most, most + 1)
    correlations = []
    for down in moves:
        for right in moves:
            moved = np.roll(theirs, (down, right), axis=(1, 2))
            product = np.tensordot(ours, moved, axes=([1, 2, 3], [1, 2, 3]))
            correlations.append(product)
    return np.max(correlations, axis=0)


def _blur(images, side):
    sigma = (0, _BLUR * side, _BLUR * side, 0)
    return ndimage.gaussian_filter(images.astype(np.float32), sigma)


def _normalise(images):
    centred = images - images.mean((1, 2, 3), keepdims=True)
    norm = np.sqrt((centred**2).sum((1, 2, 3), keepdims=True))
    return centred / np.maximum(norm, 1e-6)
