"""Export of images: PNG, SVG, a contact sheet, or a zip of all three."""

import io
import json
import zipfile

import numpy as np
import vtracer
from PIL import Image

from figr_jax import pictures
from figr_jax.data import images

SIZES = (64, 128, 256, 512, 1024)  # pixels
SHEET_SIZE = 128  # largest size of an image in a contact sheet, pixels
_TRACED = 512  # size to which an image is enlarged before tracing, pixels
_COLUMNS = 8  # of the contact sheet


def _enlarge(image, size):
    """Resizes an image to a PIL image, `size` pixels wide and high."""
    pixels = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return pixels.resize((size, size), Image.Resampling.LANCZOS)


def _without_background(image):
    """Makes the background of a PIL image transparent."""
    colours = np.asarray(image.convert("RGB"))
    far = np.abs(colours - images.background(colours)).max(-1)
    far = (255 * far / max(far.max(), 1)).astype(np.uint8)
    is_grey = image.mode == "L"
    ink = np.zeros_like(colours) if is_grey else colours
    return Image.fromarray(np.dstack([ink, far]))


def to_png(image, size, transparent):
    """Returns the PNG bytes of a smoothly enlarged image.

    Args:
      image: `[H, W, C]` uint8.
      size: height and width, pixels.
      transparent: makes the background transparent, and grey ink black.
    """
    pixels = _enlarge(image, size)
    return images.encode(_without_background(pixels) if transparent else pixels)


def to_svg(image, transparent):
    """Traces the outlines of an image; returns the SVG file as a string.

    Args:
      image: `[H, W, C]` uint8.
      transparent: leaves the background out.
    """
    pixels = _enlarge(image, _TRACED)
    is_grey = pixels.mode == "L"
    if is_grey and images.background(image).mean() < 128:
        pixels = pixels.point(lambda value: 255 - value)  # the tracer wants dark ink
    svg = vtracer.convert_raw_image_to_svg(
        images.encode(pixels.convert("RGB")),
        img_format="png",
        colormode="binary" if is_grey else "color",
    )
    # Without a viewBox the SVG cannot be scaled.
    svg = svg.replace("<svg ", f'<svg viewBox="0 0 {_TRACED} {_TRACED}" ', 1)
    if transparent or not is_grey:
        return svg
    body = svg.index(">", svg.index("<svg")) + 1
    return f'{svg[:body]}<rect width="100%" height="100%" fill="white"/>{svg[body:]}'


def to_sheet(drawn, size):
    """Returns the PNG bytes of a contact sheet; each image is `size` pixels wide."""
    large = [np.asarray(_enlarge(image, size)) for image in drawn]
    large = np.stack(large).reshape(len(drawn), size, size, -1)
    return images.encode(pictures.sheet(large, _COLUMNS))


def to_zip(drawn, size, transparent, recipe):
    """Returns a zip: each image as PNG and SVG, the contact sheet, the recipe.

    Args:
      drawn: `[n, H, W, C]` uint8.
      size: height and width of each PNG, pixels.
      transparent: leaves the backgrounds out.
      recipe: dict that reproduces the images, see `recipe.write`.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for i, image in enumerate(drawn):
            archive.writestr(f"{i:02}.png", to_png(image, size, transparent))
            archive.writestr(f"{i:02}.svg", to_svg(image, transparent))
        archive.writestr("sheet.png", to_sheet(drawn, min(size, SHEET_SIZE)))
        archive.writestr("recipe.json", json.dumps(recipe))
    return file.getvalue()
