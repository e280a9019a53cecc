"""Characters in the guises of user images: scan, photo, frame, transparency."""

import io

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from scipy import ndimage

from figr_jax.data import images

_SIDE = 1000  # side of a redrawn character, pixels


def find_strokes(character):
    """Finds the strokes of a character.

    Args:
      character: PIL image, dark on light, of any size.

    Returns:
      `[side, side]` float32: distance of each pixel to the middle of a stroke, pixels.
    """
    large = character.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    smooth = np.asarray(large.filter(ImageFilter.GaussianBlur(_SIDE / 150)))
    inside = ndimage.distance_transform_edt(smooth < 128)
    # A pixel is in the middle of a stroke if no neighbour is much farther inside.
    ridge = inside >= 0.85 * ndimage.maximum_filter(inside, _SIDE // 25)
    return np.float32(ndimage.distance_transform_edt(~(ridge & (inside > 1))))


def redraw(strokes, width):
    """Renders strokes with a pen to a PIL image, black on white.

    Args:
      strokes: see `find_strokes`.
      width: width of the pen, as a share of the side.
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
    """Renders with the pen of the data set, centred."""
    del rng
    return _save(redraw(strokes, 0.025))


def a4_scan(strokes, rng):
    """Renders 4 cm high on an A4 page scanned at 300 dpi."""
    drawing = redraw(strokes, 0.012).resize((480, 480))
    page = _page(drawing, 2480, 3508, rng).filter(ImageFilter.GaussianBlur(0.8))
    return _save(_noise(np.asarray(page, np.float32), 3, rng), "JPEG", quality=85)


def thin(strokes, rng):
    """Renders 8-pixel lines on 2000 pixels."""
    del rng
    return _save(redraw(strokes, 0.004).resize((2000, 2000)))


def off_centre(strokes, rng):
    """Renders small, at a random place on a large canvas."""
    return _save(_page(redraw(strokes, 0.025).resize((300, 300)), 2000, 1400, rng))


def framed(strokes, rng):
    """Renders in a black frame of two pixels."""
    del rng
    return _save(ImageOps.expand(redraw(strokes, 0.02).resize((396, 396)), 2, 0))


def white_on_clear(strokes, rng):
    """Renders white ink on transparency."""
    del rng
    drawing = redraw(strokes, 0.025).resize((256, 256))
    clear = Image.new("RGBA", drawing.size, "white")
    clear.putalpha(ImageOps.invert(drawing))
    return _save(clear)


def twelve_bits(strokes, rng):
    """Renders 12 bits in a 16-bit file."""
    del rng
    grey = np.asarray(redraw(strokes, 0.025).resize((400, 400)), np.uint16)
    return _save(Image.fromarray(grey * 16))


def jpeg(strokes, rng):
    """Renders to a strongly compressed JPEG."""
    del rng
    return _save(redraw(strokes, 0.02).resize((300, 300)), "JPEG", quality=15)


def photo(strokes, rng):
    """Renders in uneven light, with noise and a shadow."""
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
