"""Rendering of icons: SVG to PNG files."""

import io
import zlib

import numpy as np
from PIL import Image

from figr_jax.data import images

SIZE = 64  # pixels: the largest size of the paper; larger images are upscaled from it

_PNG_BYTES = 550  # approximate size of an image


class Drawings:
    """Icons as PNG files, rendered when they are read.

    They are rendered twice, for the check and for the write. A rendering takes one
    process a millisecond, and none has to be kept or sent between processes.
    """

    def __init__(self, icons):
        """Stores `icons.Icon`s; `names` are their ids."""
        self.names = [icon.id for icon in icons]
        self.sizes = np.full(len(icons), _PNG_BYTES)
        self._packed = [icon.packed for icon in icons]

    def read(self, item):
        """Renders an icon, `SIZE` pixels square, grey, black on white.

        Raises:
          ValueError: if it cannot be rendered, or is blank.
        """
        return draw(zlib.decompress(self._packed[item]).decode())

    def name(self, item):
        """Returns the id of an icon."""
        return self.names[item]


def wrap(body, left, top, width, height):
    """Formats an icon as a square SVG of `SIZE` pixels, centred."""
    side = max(width, height)
    left, top = left - (side - width) / 2, top - (side - height) / 2
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" color="#000" '
        f'width="{SIZE}" height="{SIZE}" viewBox="{left:g} {top:g} {side:g} {side:g}">'
        f"{' '.join(body.split())}</svg>"
    )


def draw(svg):
    """Renders an SVG on white.

    Args:
      svg: text of the SVG, which states its size.

    Returns:
      Bytes of a grey PNG file.

    Raises:
      ValueError: if it cannot be rendered, or is blank.
    """
    import resvg_py  # of the extra [icons]

    # No system fonts: they differ, and no monochrome icon that we saw has text.
    png = resvg_py.svg_to_bytes(
        svg_string=svg, background="#ffffff", skip_system_fonts=True
    )
    with Image.open(io.BytesIO(png)) as image:
        image = image.convert("L")
    if image.getextrema()[0] == 255:
        raise ValueError("blank")
    return images.encode(image)
