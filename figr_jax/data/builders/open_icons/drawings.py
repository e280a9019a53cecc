"""Drawing icons: SVG to PNG files."""

import io
import zlib

import numpy as np
from PIL import Image

SIZE = 64  # pixels: the largest images of the paper; larger ones are enlarged from it

_PNG_BYTES = 550  # of an image: about that


class Drawings:
    """Icons as PNG files, drawn when they are read.

    They are drawn twice, to be checked and to be written: each takes a millisecond of
    one of many processes, and no drawings have to be kept or sent between them.
    """

    def __init__(self, icons):
        """Takes `icons.Icon`s; `names` are their ids."""
        self.names = [icon.id for icon in icons]
        self.sizes = np.full(len(icons), _PNG_BYTES)
        self._packed = [icon.packed for icon in icons]

    def read(self, item):
        """An icon, `SIZE` pixels square, grey, black on white.

        Raises:
          ValueError: if it cannot be drawn, or nothing is to be seen.
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
    """Draws an SVG on white.

    Args:
      svg: its text, which says its size.

    Returns:
      Bytes of a grey PNG file.

    Raises:
      ValueError: if it cannot be drawn, or nothing is to be seen.
    """
    import resvg_py  # from an extra

    # No system fonts: they differ, and no monochrome icon seen has text.
    png = resvg_py.svg_to_bytes(
        svg_string=svg, background="#ffffff", skip_system_fonts=True
    )
    with Image.open(io.BytesIO(png)) as image:
        image = image.convert("L")
    if image.getextrema()[0] == 255:
        raise ValueError("blank")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
