"""Characters as people hand them over: scanned, photographed, framed, transparent."""

import io

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from scipy import ndimage

from figr_jax.data import images

_SIDE = 1000  # pixels of a character that is redrawn


def find_strokes(character):
    """Finds the strokes of a character.

    Args:
      character: PIL image, dark on light, of any size.

    Returns:
      `[side, side]` float32: pixels between each pixel and the middle of a stroke.
    """
    large = character.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    smooth = np.asarray(large.filter(ImageFilter.GaussianBlur(_SIDE / 150)))
    inside = ndimage.distance_transform_edt(smooth < 128)
    # The middle of a stroke is where no neighbour is much deeper inside it.
    ridge = inside >= 0.85 * ndimage.maximum_filter(inside, _SIDE // 25)
    return np.float32(ndimage.distance_transform_edt(~(ridge & (inside > 1))))


def redraw(strokes, width):
    """Draws strokes with a pen: a PIL image, black on white.

    Args:
      strokes: see `find_strokes`.
      width: of the pen, as a share of the side.
    """
    ink = np.clip(width * _SIDE / 2 - strokes + 0.5, 0, 1)
    return Image.fromarray((255 * (1 - ink)).astype(np.uint8))


def _save(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return images.decode(io.BytesIO(file.getvalue()), 1)


def _page(drawing, width, height, rng, paper=255):
    page = Image.new("L", (width, height), paper)
    room = width - drawing.width, height - drawing.height
    page.paste(drawing, tuple(int(side) for side in rng.integers(0, room)))
    return page


def _noise(pixels, deviation, rng):
    noisy = pixels + rng.normal(0, deviation, pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def clean(strokes, rng):
    """The pen of the data set, in the middle."""
    del rng
    return _save(redraw(strokes, 0.025))


def a4_scan(strokes, rng):
    """Four centimetres high on a page that is scanned at 300 dpi."""
    drawing = redraw(strokes, 0.012).resize((480, 480))
    page = _page(drawing, 2480, 3508, rng).filter(ImageFilter.GaussianBlur(0.8))
    return _save(_noise(np.asarray(page, np.float32), 3, rng), "JPEG", quality=85)


def thin(strokes, rng):
    """Eight pixels of 2000."""
    del rng
    return _save(redraw(strokes, 0.004).resize((2000, 2000)))


def off_centre(strokes, rng):
    """Small, anywhere on a large canvas."""
    return _save(_page(redraw(strokes, 0.025).resize((300, 300)), 2000, 1400, rng))


def framed(strokes, rng):
    """In a black frame of two pixels."""
    del rng
    return _save(ImageOps.expand(redraw(strokes, 0.02).resize((396, 396)), 2, 0))


def white_on_clear(strokes, rng):
    """White ink on transparency."""
    del rng
    drawing = redraw(strokes, 0.025).resize((256, 256))
    clear = Image.new("RGBA", drawing.size, "white")
    clear.putalpha(ImageOps.invert(drawing))
    return _save(clear)


def twelve_bits(strokes, rng):
    """12 bits in a file of 16."""
    del rng
    grey = np.asarray(redraw(strokes, 0.025).resize((400, 400)), np.uint16)
    return _save(Image.fromarray(grey * 16))


def jpeg(strokes, rng):
    """Strongly compressed."""
    del rng
    return _save(redraw(strokes, 0.02).resize((300, 300)), "JPEG", quality=15)


def photo(strokes, rng):
    """In uneven light, with noise, and a shadow."""
    ink = np.asarray(redraw(strokes, 0.012), np.float32) / 255
    y, x = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)
    light = 190 + 70 * slope - 40 / (1 + np.exp(-40 * (slope - 0.2)))
    return _save(_noise(light * (0.3 + 0.7 * ink), 4, rng), "JPEG", quality=80)


ALL = (
    *(clean, a4_scan, thin, off_centre, framed),
    *(white_on_clear, twelve_bits, jpeg, photo),
)
