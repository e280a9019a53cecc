"""Rendering of icons: SVG to PNG files."""

import io
import zlib

import numpy as np
from PIL import Image

from figr_jax.data import images

SIZE = 64  # pixels: the largest size of the paper; larger images are upscaled from it

_GREY_BYTES = 550  # approximate size of an image
_COLOUR_BYTES = 4500


class Drawings:
    """Icons as PNG files, rendered when they are read.

    They are rendered twice, for the check and for the write. A rendering takes one
    process a millisecond, and none has to be kept or sent between processes.
    """

    def __init__(self, icons, colour=False):
        """Stores `icons.Icon`s, to render in colour or grey; `names` are their ids."""
        self.names = [icon.id for icon in icons]
        self.sizes = np.full(len(icons), _COLOUR_BYTES if colour else _GREY_BYTES)
        self._mode = "RGB" if colour else "L"
        self._packed = [icon.packed for icon in icons]

    def read(self, item):
        """Renders an icon, `SIZE` pixels square, on white.

        Raises:
          ValueError: if it cannot be rendered, or is blank.
        """
        return draw(zlib.decompress(self._packed[item]).decode(), self._mode)

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


def draw(svg, mode="L"):
    """Renders an SVG on white.

    Args:
      svg: text of the SVG, which states its size.
      mode: of PIL: L for grey, RGB for colour.

    Returns:
      Bytes of a PNG file.

    Raises:
      ValueError: if it cannot be rendered, or is blank.
    """
    import resvg_py  # of the extra [icons]

    # No system fonts: they differ, and no icon that we saw has text.
    png = resvg_py.svg_to_bytes(
        svg_string=svg, background="#ffffff", skip_system_fonts=True
    )
    with Image.open(io.BytesIO(png)) as image:
        image = image.convert(mode)
    if image.convert("L").getextrema()[0] == 255:
        raise ValueError("blank")
    return images.encode(image)
