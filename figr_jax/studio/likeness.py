"""How near a generated image is to a drawing, without any trained network."""

import numpy as np
from scipy import ndimage

# Likeness from which an image is called a copy. Of real images that another hand drew
# (Omniglot) 0.4 % are so near to one of four others; of type, which is alike, 19 %.
COPY = 0.95
_BLUR = 0.02  # share of the image's side
_SHIFT = 0.06  # share of the image's side that a drawing may be moved


def likeness(images, support):
    """Correlation of pixels, slightly blurred, at the best of small shifts.

    Args:
      images: `[m, H, W, C]` uint8.
      support: `[n, H, W, C]` uint8.

    Returns:
      `[m, n]` in [-1, 1]; 1 for the same drawing, moved a little.
    """
    side = images.shape[1]
    ours, theirs = (_normalise(_blur(x, side)) for x in (images, support))
    most = round(_SHIFT * side)
    moves = range(-most, most + 1)
    found = []
    for down in moves:
        for right in moves:
            moved = np.roll(theirs, (down, right), axis=(1, 2))
            found.append(np.tensordot(ours, moved, axes=([1, 2, 3], [1, 2, 3])))
    return np.max(found, axis=0)


def _blur(images, side):
    sigma = (0, _BLUR * side, _BLUR * side, 0)
    return ndimage.gaussian_filter(images.astype(np.float32), sigma)


def _normalise(images):
    centred = images - images.mean((1, 2, 3), keepdims=True)
    norm = np.sqrt((centred**2).sum((1, 2, 3), keepdims=True))
    return centred / np.maximum(norm, 1e-6)
