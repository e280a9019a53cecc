"""Statistics of the images of a data set: background and ink."""

from typing import NamedTuple

import numpy as np

from figr_jax.data import images

INK = 0.25  # share of full ink above which a pixel belongs to a drawing


class Ink(NamedTuple):
    """Measures of the ink of an image; of several images, arrays `[n]`.

    Attributes:
      darkness: darkness of the strokes, in [0, 1]: 0.9 quantile of all inked pixels.
      share: mean ink over all pixels, in [0, 1].
      extent: longer side of the drawing, as a share of the image's side.
      offset: distance from the drawing's centre to the image's, as a share of the side.
    """

    darkness: float
    share: float
    extent: float
    offset: float


class Style(NamedTuple):
    """Background and ink of the images of a data set. Stored in the snapshot.

    Attributes:
      background: grey level in [0, 255].
      low: `Ink` that 99 % of the images exceed; None if they are not drawings.
      middle: `Ink`, medians; None if they are not drawings.
      high: `Ink` that 1 % of the images exceed; None if they are not drawings.
    """

    background: float
    low: Ink | None = None
    middle: Ink | None = None
    high: Ink | None = None

    @classmethod
    def from_json(cls, style):
        """Restores a `Style` from its JSON list."""
        return cls(style[0], *(Ink(*ink) if ink else None for ink in style[1:]))


def plain(background):
    """Returns the `Style` of line drawings, for data that was not measured."""
    if 64 < background < 192:
        return Style(background)
    low, high = Ink(0.6, 0.01, 0.35, 0.0), Ink(1.0, 0.5, 1.0, 0.15)
    return Style(background, low, Ink(0.95, 0.12, 0.8, 0.0), high)


def measure(sample):
    """Measures the `Style` of images `[n, H, W, C]` uint8."""
    backgrounds = find_backgrounds(sample)
    background = float(np.median(backgrounds))
    usual = np.abs(backgrounds - background) < 16
    if usual.mean() < 0.9 or 64 < background < 192:
        return Style(background)
    ink = np.stack(measure_ink(sample[usual], background))
    quantiles = np.quantile(ink, (0.01, 0.5, 0.99), axis=1)
    return Style(background, *(Ink(*row.tolist()) for row in quantiles))


def find_backgrounds(sample):
    """Returns the grey level of the background of each image: `[n]` in [0, 255]."""
    return np.array([images.background(image).mean() for image in sample])


def find_ink(drawings, background):
    """Converts drawings `[n, H, W, C]` uint8 to ink `[n, H, W]` in [0, 1]."""
    most = max(background, 255 - background)
    return np.abs(drawings.astype(np.float32) - background).max(-1) / most


def measure_ink(support, background):
    """Measures images `[n, H, W, C]` uint8 on a background: an `Ink` of `[n]`."""
    measures = []
    for one in find_ink(support, background):
        side = len(one)
        rows, columns = (np.flatnonzero((one > INK).any(axis)) for axis in (1, 0))
        if not len(rows):
            measures.append((0.0, one.mean(), 0.0, 0.0))
            continue
        first, last = np.array([rows[[0, -1]], columns[[0, -1]]]).T
        extent = (last - first + 1).max() / side
        offset = np.abs(first + last + 1 - side).max() / 2 / side
        measures.append((find_darkness(one), one.mean(), extent, offset))
    return Ink(*np.array(measures).T)


def find_darkness(ink):
    """Measures the darkness of the strokes of an image, see `Ink`."""
    inked = ink[ink > 0.1]
    return np.quantile(inked, 0.9) if inked.size else 0.0


def looks_alike(support, style):
    """Returns whether images look like a style's data.

    Compares their backgrounds, and the medians of their ink.

    Args:
      support: `[n, H, W, C]` uint8.
      style: `Style`.
    """
    if not len(support):
        return True
    if (np.abs(find_backgrounds(support) - style.background) > 8).any():
        return False
    ink = measure_ink(support, style.background)
    return (ink.darkness > 0).all() and all(
        low <= np.median(values) <= high
        for values, low, high in zip(ink, style.low, style.high, strict=True)
    )
