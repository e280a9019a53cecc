"""Export of images: PNG, SVG, a contact sheet, or a zip of all three."""

import io
import json
import zipfile

import numpy as np
import vtracer
from PIL import Image

from figr_jax import vectors
from figr_jax.common import pictures
from figr_jax.data import images

SIZES = (64, 128, 256, 512, 1024)  # pixels
_SHEET_SIZE = 128  # largest size of an image in a contact sheet, pixels
_TRACED = 512  # size to which a colour image is enlarged before tracing, pixels
_COLUMNS = 8  # of the contact sheet


def _has_outlines(image, style):
    return image.shape[-1] == 1 and style.low is not None


def _enlarge(image, size, style):
    """Enlarges an image smoothly, a grey drawing as its outlines.

    Returns:
      `[size, size, C]` uint8.
    """
    if _has_outlines(image, style):
        ink = vectors.render(image, size, style.background)[..., None]
        return ink if style.background < 128 else 255 - ink
    return images.resize(image, size, size, Image.Resampling.LANCZOS)


def to_png(image, size, style, transparent):
    """Returns the PNG bytes of a smoothly enlarged image.

    Args:
      image: `[H, W, C]` uint8.
      size: height and width, pixels.
      style: `styles.Style` of the model.
      transparent: makes the background transparent, and grey ink black.
    """
    if not transparent:
        return images.encode(_enlarge(image, size, style))
    if _has_outlines(image, style):
        alpha = vectors.render(image, size, style.background)
    else:
        colours = _enlarge(image, size, style)
        alpha = np.abs(colours - images.background(colours)).max(-1)
        alpha = (255 * alpha / max(alpha.max(), 1)).astype(np.uint8)
    if image.shape[-1] == 1:
        colours = np.zeros((size, size, 3), np.uint8)
    return images.encode(Image.fromarray(np.dstack([colours, alpha])))


def to_svg(image, style, transparent):
    """Traces the outlines of an image; returns the SVG file as a string.

    Args:
      image: `[H, W, C]` uint8.
      style: `styles.Style` of the model.
      transparent: leaves out the background of a grey image.
    """
    if image.shape[-1] == 1:
        return vectors.to_svg(image, style.background, transparent)
    svg = vtracer.convert_raw_image_to_svg(
        images.encode(_enlarge(image, _TRACED, style)), img_format="png"
    )
    paths = svg[svg.index("<path") : svg.rindex("</svg>")]
    scale = f'<g transform="scale({vectors.VIEW / _TRACED})">'
    return f"{vectors.SVG}>{scale}{paths}</g></svg>\n"


def to_sheet(drawn, size, style):
    """Returns the PNG bytes of a contact sheet of images of at most `size` pixels."""
    size = min(size, _SHEET_SIZE)
    large = np.stack([_enlarge(image, size, style) for image in drawn])
    return images.encode(pictures.sheet(large, _COLUMNS))


def to_zip(drawn, size, style, transparent, recipe):
    """Returns a zip: each image as PNG and SVG, the contact sheet, the recipe.

    Args:
      drawn: `[n, H, W, C]` uint8.
      size: height and width of each PNG, pixels.
      style: `styles.Style` of the model.
      transparent: leaves the backgrounds out.
      recipe: dict that reproduces the images, see `recipe.write`.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for i, image in enumerate(drawn):
            png = to_png(image, size, style, transparent)
            archive.writestr(f"{i:02}.png", png)
            archive.writestr(f"{i:02}.svg", to_svg(image, style, transparent))
        archive.writestr("sheet.png", to_sheet(drawn, size, style))
        archive.writestr("recipe.json", json.dumps(recipe))
    return file.getvalue()
