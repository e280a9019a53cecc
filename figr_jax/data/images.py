"""Images: decoding, squaring, polarity, and the one way to floats and back.

Nothing of jax is imported: the processes that decode a data set start without it.
"""

import os
import pathlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from figr_jax.errors import BadInput

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
ALLOWED_SIZE = "a power of two from 8 to 1024"
MAX_PIXELS = 2**26  # of an image; decoding takes up to some ten bytes for each
MAX_BYTES = 2**28  # of an image file
MAX_DIMENSION = 2**16  # pixels; Pillow needs time quadratic in a row's length
_MAX_SIDE = 2**12  # pixels of the longer side above which an image is shrunk at once
_INK = 64  # grey levels that ink differs from the background
_BORDER_INK = 0.05  # share of a border above which it is not of one colour

Image.MAX_IMAGE_PIXELS = None  # Pillow's own bound, which first warns: ours is below it


class Unreadable(ValueError):
    """A file that is no image, or a damaged one, or too large a one."""


def is_size(image_size):
    """Whether networks can draw images of that height and width."""
    return 8 <= image_size <= 1024 and image_size & (image_size - 1) == 0


def to_float(images):
    """From uint8 in [0, 255] to float32 in [-1, 1], any shape: what networks see."""
    return images.astype(np.float32) / 127.5 - 1


def to_uint8(images):
    """Floats in [-1, 1] to uint8 in [0, 255], any shape: what files hold."""
    return ((images + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def decode(file, channels, max_pixels=MAX_PIXELS):
    """Decodes an image file of any size and mode; of several frames the first.

    Args:
      file: path or binary file object.
      channels: 1 for grey, 3 for colour.
      max_pixels: that it may have.

    Returns:
      `[H, W, channels]` uint8; transparency has become white.

    Raises:
      Unreadable: if it cannot be decoded, or has more pixels.
    """
    try:
        # Others decode while they are opened, whatever their size, or run programs.
        with Image.open(file, formats=("PNG", "JPEG", "WEBP", "GIF")) as image:
            if image.width * image.height > max_pixels:
                raise Unreadable(
                    f"{image.width}x{image.height} pixels, more than {max_pixels:,}"
                )
            if max(image.size) > MAX_DIMENSION:
                raise Unreadable(
                    f"{image.width}x{image.height} pixels, a side of more than "
                    f"{MAX_DIMENSION:,}"
                )
            pixels = _decode(image, channels)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("not an image") from error
    except Exception as error:  # Pillow has no one class for damaged files
        raise Unreadable(str(error) or type(error).__name__) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def _decode(image, channels):
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        # 16-bit grey, which Pillow would clip to 8 bits instead of scaling it.
        deep, clear = np.asarray(image), image.info.get("transparency")
        grey = (deep / 257).round().clip(0, 255).astype(np.uint8)
        if clear is not None:
            grey[deep == clear] = 255
        image = Image.fromarray(grey)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("L" if channels == 1 else "RGB"))


def background(images):
    """The background colour: per channel the median of the border pixels.

    Args:
      images: `[..., H, W, C]` uint8.

    Returns:
      `[C]` float64 in [0, 255].
    """
    edges = (
        images[..., 0, :, :],
        images[..., -1, :, :],
        images[..., :, 0, :],
        images[..., :, -1, :],
    )
    channels = images.shape[-1]
    border = np.concatenate([edge.reshape(-1, channels) for edge in edges])
    return np.median(border, axis=0)


def fit(image, image_size):
    """Makes an image square by padding, then resizes it (bilinear, antialiased).

    Args:
      image: `[H, W, C]` uint8.
      image_size: height and width of the result, pixels.

    Returns:
      `[image_size, image_size, C]` uint8.
    """
    image = shrink(image, _MAX_SIDE)  # padded, a long thin one would be huge
    height, width, channels = image.shape
    side = max(height, width)
    if height != width:
        top, left = (side - height) // 2, (side - width) // 2
        square = np.empty((side, side, channels), np.uint8)
        square[:] = background(image)
        square[top : top + height, left : left + width] = image
        image = square
    if side != image_size:
        pixels = Image.fromarray(image[..., 0] if channels == 1 else image)
        pixels = pixels.resize((image_size, image_size), Image.Resampling.BILINEAR)
        image = np.asarray(pixels).reshape(image_size, image_size, channels)
    return image


def shrink(image, most):
    """Makes the longer side of an image `most` pixels, in proportion, if it has more.

    Args:
      image: `[H, W, C]` uint8.
      most: pixels.

    Returns:
      `[h, w, C]` uint8.
    """
    height, width, channels = image.shape
    scale = most / max(height, width)
    if scale >= 1:
        return image
    pixels = Image.fromarray(image[..., 0] if channels == 1 else image)
    size = [max(1, round(side * scale)) for side in pixels.size]
    pixels = pixels.resize(size, Image.Resampling.BOX)
    return np.asarray(pixels).reshape(*size[::-1], channels)


def find_ink(image):
    """Where an image differs from its background.

    Args:
      image: `[H, W, C]` uint8.

    Returns:
      Slices of rows and of columns; None if it does not, or not only inside: the border
      must be of one colour.
    """
    border = background(image)
    differs = np.abs(image - border).max(-1) > _INK
    edges = [differs[0], differs[-1], differs[:, 0], differs[:, -1]]
    if not differs.any() or np.concatenate(edges).mean() > _BORDER_INK:
        return None
    rows, columns = (np.flatnonzero(differs.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def centre(image, share):
    """Moves a drawing to the middle of a square and makes it as large as others are.

    Args:
      image: `[H, W, C]` uint8.
      share: of the square's side, that the longer side of the drawing takes.

    Returns:
      `[S, S, C]` uint8; the image itself if it is no drawing on a plain background.
    """
    ink = find_ink(image)
    if ink is None:
        return image
    drawing = image[ink]
    height, width, channels = drawing.shape
    side = max(round(max(height, width) / share), height, width)
    square = np.empty((side, side, channels), np.uint8)
    square[:] = background(image)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = drawing
    return square


def list_files(paths):
    """The image files that some paths stand for.

    Args:
      paths: one path or several: files, and folders that stand for the images in
        them, sorted by name.

    Returns:
      A list of `pathlib.Path`.

    Raises:
      BadInput: if a path does not exist or a folder has no images.
    """
    files = []
    for path in [paths] if isinstance(paths, str | pathlib.Path) else paths:
        if not os.path.exists(path):  # unlike Path.exists, also of a name too long
            raise BadInput(f"{path or '(empty)'}: no such file or folder of images")
        path = pathlib.Path(path)
        if path.is_file():
            files.append(path)
            continue
        if not path.is_dir():  # a pipe, which would be waited for
            raise BadInput(f"{path}: neither a file nor a folder")
        inside = sorted(
            p
            for p in path.iterdir()
            if p.suffix.lower() in SUFFIXES
            and not p.name.startswith(".")
            and not p.is_fifo()
        )
        if not inside:
            raise BadInput(f"{path}: no images in this folder ({', '.join(SUFFIXES)})")
        files.extend(inside)
    if not files:
        raise BadInput("no support images were given")
    return files


def read(paths, image_size, channels):
    """Reads image files for adaptation.

    Args:
      paths: see `list_files`.
      image_size: height and width of the result, pixels.
      channels: 1 or 3.

    Returns:
      `[shots, image_size, image_size, channels]` uint8.

    Raises:
      BadInput: if there is none, or one cannot be read (it is named).
    """
    result = []
    for path in list_files(paths):
        try:
            image = decode(path, channels)
        except Unreadable as error:
            raise BadInput(
                f"{path}: not a readable image ({error}); wanted is PNG, JPEG, WebP "
                "or GIF"
            ) from error
        result.append(fit(image, image_size))
    return np.stack(result)
