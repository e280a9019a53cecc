"""Images: decoding, encoding, squaring, polarity, and conversion to floats and back.

This module does not import jax, so that processes that decode a data set start fast.
"""

import io

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError, features

# Formats that Pillow opens without running programs or decoding at once, with the
# suffixes of their files.
_FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
if features.check("avif"):  # of Pillow 11.3 and later
    _FORMATS["AVIF"] = (".avif",)
SUFFIXES = tuple(suffix for some in _FORMATS.values() for suffix in some)
FORMATS = "PNG, JPEG, WebP, GIF, BMP, TIFF, PPM or AVIF"
ALLOWED_SIZE = "a power of two from 8 to 1024"
MAX_PIXELS = 2**26  # of an image; decoding takes up to some ten bytes per pixel
MAX_BYTES = 2**28  # of an image file
MAX_DIMENSION = 2**16  # pixels; Pillow needs time quadratic in a row's length
_MAX_SIDE = 2**12  # pixels of the longer side above which an image is shrunk at once
_INK = 64  # grey levels that ink differs from the background
_BORDER_INK = 0.05  # share of a border above which it is not of one colour
_TINT = 48  # levels between the channels of a pixel, above which it is not grey
_TINTED = 0.001  # share of such pixels above which an image is in colour

Image.MAX_IMAGE_PIXELS = None  # Pillow's own bound, which first warns; ours is lower
PngImagePlugin.MAX_TEXT_CHUNK = 2**24  # bytes; Pillow's 2**20 is below some profiles


class Unreadable(ValueError):
    """A file that is not an image, or is damaged, or is too large."""


def is_size(image_size):
    """Returns whether networks can generate images of that height and width."""
    return 8 <= image_size <= 1024 and image_size & (image_size - 1) == 0


def to_float(images):
    """Converts uint8 in [0, 255] to float32 in [-1, 1], for networks; any shape."""
    return images.astype(np.float32) / 127.5 - 1


def to_uint8(images):
    """Converts floats in [-1, 1] to uint8 in [0, 255], for files; any shape."""
    return ((images + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def decode(file, channels, max_pixels=MAX_PIXELS):
    """Decodes an image file of any size and mode; takes the first of several frames.

    Args:
      file: path or binary file object.
      channels: 1 for grey, 3 for colour.
      max_pixels: maximum number of pixels.

    Returns:
      `[H, W, channels]` uint8; transparent pixels become white, or black if white
      would hide the image.

    Raises:
      Unreadable: if it cannot be decoded, or has more pixels.
    """
    try:
        with Image.open(file, formats=tuple(_FORMATS)) as image:
            if image.width * image.height > max_pixels:
                raise Unreadable(
                    f"{image.width}x{image.height} pixels, more than {max_pixels:,}"
                )
            if max(image.size) > MAX_DIMENSION:
                raise Unreadable(
                    f"{image.width}x{image.height} pixels, a side of more than "
                    f"{MAX_DIMENSION:,}"
                )
            pixels = from_pil(image, channels)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("unknown format") from error
    except Exception as error:  # Pillow has no common class for damaged files
        raise Unreadable(str(error) or type(error).__name__) from error
    return pixels


def encode(image):
    """Encodes an image as a PNG file that depends on the pixels alone.

    Args:
      image: PIL image, or `[H, W]` or `[H, W, C]` uint8, C = 1 or 3.

    Returns:
      Bytes.
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def from_pil(image, channels):
    """Converts an image of PIL, of any mode; arguments and result as in `decode`."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _to_8_bits(image)
    if image.has_transparency_data:
        image = _compose(image.convert("RGBA"))
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def _to_8_bits(image):
    """Scales grey of more than 8 bits, which Pillow would clip.

    Cameras and scanners write 10, 12 or 14 bits into files of 16 bits, so the range is
    that of the fewest bits that hold the brightest pixel. Floats may range to 1.
    """
    deep, clear = np.asarray(image), image.info.get("transparency")
    deep = np.nan_to_num(deep, posinf=0, neginf=0)
    top = deep.max(initial=0)
    bits = next((n for n in (8, 10, 12, 14) if top < 2**n), 16)
    # Resampling overshoots 1 a little.
    full = 1 if image.mode == "F" and top < 1.1 else 2**bits - 1
    grey = (deep * (255 / full)).round().clip(0, 255).astype(np.uint8)
    if clear is not None:
        grey[deep == clear] = 255
    return Image.fromarray(grey)


def _compose(image):
    """Puts an RGBA image on white; on black if it is nearly white itself."""
    alpha = np.asarray(image.getchannel("A"), np.float32)
    grey = np.asarray(image.convert("RGB").convert("L"), np.float32)
    mean = (alpha * grey).sum() / max(alpha.sum(), 1)
    ground = Image.new("RGBA", image.size, "black" if mean > 255 - _INK else "white")
    return Image.alpha_composite(ground, image)


def is_colour(image):
    """Returns whether an image, `[H, W, 3]` uint8, is in colour, not in greys alone."""
    return bool((np.ptp(image, axis=-1) > _TINT).mean() > _TINTED)


def to_grey(image):
    """Converts an image from `[H, W, 3]` to `[H, W, 1]` uint8, as `decode` does."""
    return np.asarray(Image.fromarray(image).convert("L"))[..., None]


def background(images):
    """Finds the background colour: per channel the median of the border pixels.

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
    image = shrink(image, _MAX_SIDE)  # once padded, a long thin one would be huge
    image = pad(image, max(image.shape[:2]), background(image))
    return resize(image, image_size, image_size, Image.Resampling.BILINEAR)


def pad(image, side, fill):
    """Pads an image to a square, with the image in the middle.

    Args:
      image: `[H, W, C]`, no side longer than `side`.
      side: height and width of the square, pixels.
      fill: value around the image, a number or `[C]`.

    Returns:
      `[side, side, C]`, of the image's dtype.
    """
    height, width, channels = image.shape
    square = np.full((side, side, channels), fill, image.dtype)

    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = image
    return square


def resize(image, height, width, resampling):
    """Resizes an image.

    Args:
      image: `[H, W, C]` uint8.
      height: height of the result, pixels.
      width: width of the result, pixels.
      resampling: `PIL.Image.Resampling`.

    Returns:
      `[height, width, C]` uint8.
    """
    channels = image.shape[-1]
    pixels = Image.fromarray(image[..., 0] if channels == 1 else image)
    pixels = pixels.resize((width, height), resampling)
    return np.asarray(pixels).reshape(height, width, channels)


def shrink(image, most):
    """Shrinks an image in proportion until no side is longer than `most` pixels.

    Args:
      image: `[H, W, C]` uint8.
      most: maximum length of a side, pixels.

    Returns:
      `[h, w, C]` uint8.
    """
    scale = most / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return resize(image, height, width, Image.Resampling.BOX)


def find_ink(image):
    """Finds the part of an image that differs from its background.

    Args:
      image: `[H, W, C]` uint8.

    Returns:
      Slices of rows and of columns; None if no part differs, or if the border is not of
      one colour.
    """
    border = background(image)
    differs = np.abs(image - border).max(-1) > _INK
    edges = [differs[0], differs[-1], differs[:, 0], differs[:, -1]]
    if not differs.any() or np.concatenate(edges).mean() > _BORDER_INK:
        return None
    rows, columns = (np.flatnonzero(differs.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def centre(image, share):
    """Centres a drawing in a square, of which it takes a given share.

    Args:
      image: `[H, W, C]` uint8.
      share: longer side of the drawing, as a share of the square's side.

    Returns:
      `[S, S, C]` uint8; the image itself if it is not a drawing on a plain
      background.
    """
    ink = find_ink(image)
    if ink is None:
        return image
    drawing = image[ink]
    longer = max(drawing.shape[:2])
    return pad(drawing, max(round(longer / share), longer), background(image))
