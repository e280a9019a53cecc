"""Grids in the layout of the paper's figures: arrays in, one PNG out."""

import io

import numpy as np
from PIL import Image

from figr_jax import files

_GAP = 1  # pixels around each image
_RED = (220, 30, 30)
_GREY = (190, 190, 190)
_PAPER = (255, 255, 255)
_SMALLEST = 64  # pixels: what an image is enlarged to in a grid, to be seen


def _to_colour(images):
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def _tile(images, columns, frame):
    """Images `[N, H, W, 3]` in rows of `columns`, each with a frame of that colour."""
    n, height, width, _ = images.shape
    rows = -(-n // columns)
    cell_height, cell_width = height + 2 * _GAP, width + 2 * _GAP
    sheet = np.full((rows * cell_height, columns * cell_width, 3), _PAPER, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * cell_height, i % columns * cell_width
        sheet[top : top + cell_height, left : left + cell_width] = frame
        top, left = top + _GAP, left + _GAP
        sheet[top : top + height, left : left + width] = image
    return sheet


def panel(support, generated, columns):
    """One class as in the paper's figures: support framed in red, generated below.

    Args:
      support: `[shots, H, W, C]` uint8.
      generated: `[count, H, W, C]` uint8.
      columns: images in a row.

    Returns:
      `[height, width, 3]` uint8.
    """
    zoom = max(1, _SMALLEST // support.shape[1])
    support, generated = (
        _to_colour(images).repeat(zoom, axis=1).repeat(zoom, axis=2)
        for images in (support, generated)
    )
    return np.concatenate(
        [_tile(support, columns, _RED), _tile(generated, columns, _GREY)]
    )


def side_by_side(panels):
    """Panels of equal height in a row, a white gap between: `[height, width, 3]`."""
    gap = np.full((panels[0].shape[0], 16, 3), 255, np.uint8)
    parts = [part for p in panels for part in (p, gap)]
    return np.concatenate(parts[:-1], axis=1)


def save(path, image):
    """Writes `[H, W, C]` uint8, C = 1 or 3, as a PNG, all or nothing.

    The bytes depend on the pixels alone.
    """
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
    files.write_bytes(path, file.getvalue())
