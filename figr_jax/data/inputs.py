"""The images that a user hands over: finds and reads files, names their faults."""

import os
import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from figr_jax.common import outputs
from figr_jax.common.errors import BadInput, name_some, say, warn
from figr_jax.data import drawings, images

# Of the pictures that no list of image suffixes has, those that people try.
_OTHER_SUFFIXES = (".heic", ".heif", ".svg", ".pdf", ".psd", ".eps", ".ai", ".raw")


def list_files(path):
    """Lists the image files that a path stands for.

    Pictures that `figr_jax.sample` wrote into a folder are left out, and images of
    other formats are named in a warning.

    Args:
      path: a file, or a folder that stands for the images in it, sorted by name.

    Returns:
      A list of `pathlib.Path`.

    Raises:
      BadInput: if the path does not exist or the folder has no images.
    """
    if not os.path.exists(path):  # unlike Path.exists, also of a name too long
        raise BadInput(
            f"{path or '(empty)'}: no such file or folder; give images or a folder of "
            "images"
        )
    path = pathlib.Path(path)
    if path.is_file():
        return [path]
    if path.is_dir():
        return _list_folder(path)
    raise BadInput(f"{path}: neither a file nor a folder")  # a pipe would block


def _list_folder(folder):
    ours = outputs.find_ours(folder)
    visible = [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and path.is_file() and path.name not in ours
    ]
    pictures = [path for path in visible if path.suffix.lower() in images.SUFFIXES]
    others = [path.name for path in visible if path.suffix.lower() in _OTHER_SUFFIXES]
    if others:
        warn(
            f"{folder}: {len(others)} files are ignored ({name_some(others)}); save "
            "them as PNG or JPEG"
        )
    if not pictures:
        why = " other than those that figr_jax.sample wrote" if ours else ""
        inner = next((path for path in sorted(folder.iterdir()) if path.is_dir()), None)
        hint = f"; to use the images of a subfolder, give {inner}" if inner else ""
        raise BadInput(
            f"{folder}: no images in this folder{why}; give {images.FORMATS}{hint}"
        )
    return pictures


def read(given, channels):
    """Reads images of any size.

    Args:
      given: a path (see `list_files`), an image of PIL, an array `[H, W]` or
        `[H, W, C]` of uint8 in [0, 255], or a list of these.
      channels: 1 or 3.

    Returns:
      A list of `[H, W, channels]` uint8, and a list of their names.

    Raises:
      BadInput: if there is none, or one cannot be read (it is named).
    """
    if isinstance(given, str | os.PathLike | Image.Image) or _is_one_array(given):
        given = [given]
    elif not isinstance(given, Iterable):
        raise BadInput(f"support of type {type(given).__name__}: give files or images")
    arrays, names = [], []
    for number, value in enumerate(given, 1):
        if isinstance(value, Image.Image | np.ndarray):
            arrays.append(_convert(value, channels))
            names.append(f"image {number}")
            continue
        if not isinstance(value, str | os.PathLike):
            raise BadInput(
                f"image {number} of type {type(value).__name__}: give a path"
            )
        for path in list_files(os.fspath(value)):
            arrays.append(_decode(path, channels))
            names.append(str(path))
    if not arrays:
        raise BadInput("no support images were given")
    return arrays, names


def _is_one_array(value):
    return isinstance(value, np.ndarray) and value.ndim < 4


def _decode(path, channels):
    try:
        return images.decode(path, channels)
    except images.Unreadable as error:
        raise BadInput(
            f"{path}: cannot be read as an image ({error}); give {images.FORMATS}"
        ) from error


def _convert(image, channels):
    """Converts an image of PIL, or an array."""
    if isinstance(image, np.ndarray):
        is_grey = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1)
        is_colour = image.ndim == 3 and image.shape[2] in (3, 4)
        if image.dtype != np.uint8 or not (is_grey or is_colour) or not image.size:
            raise BadInput(
                f"image of {image.dtype}{list(image.shape)}: must be uint8[H, W] or "
                "uint8[H, W, channels] in [0, 255], with 1, 3 or 4 channels"
            )
        image = Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image)
    try:
        return images.from_pil(image, channels)
    except (OSError, ValueError) as error:
        raise BadInput(f"an image cannot be converted ({error})") from error


def prepare(given, size, channels, style, invert=None, redraw=True, find_odd=None):
    """Reads images and prepares them as a support; warns of what may spoil it.

    Reports images that lose their colours, and supports that have none.

    Args:
      given: see `read`.
      size: height and width of the support, pixels.
      channels: of the support, 1 or 3.
      style: `styles.Style` of the model's data.
      invert: see `drawings.prepare`.
      redraw: see `drawings.prepare`.
      find_odd: see `find_faults`.

    Returns:
      The images as they were, a list of `[H, W, channels]` uint8, and `Prepared`.

    Raises:
      BadInput: if there is none, one cannot be read, or all are blank.
    """
    originals, names = read(given, channels=3)
    originals = _match(originals, channels)
    prepared = drawings.prepare(originals, size, style, invert, redraw)
    faults = find_faults(prepared, names, style, find_odd)
    if prepared.blank.all():
        raise BadInput(faults[0])
    for fault in faults:
        warn(fault)
    return originals, prepared


def _match(originals, channels):
    """Converts images `[H, W, 3]` to the channels of a model, and reports it."""
    count, coloured = len(originals), sum(map(images.is_colour, originals))
    if channels == 1 and coloured:
        say(describe_grey(coloured, count))
    if channels == 3 and not coloured:
        say(f"all {count} images are grey: converted to 3 equal channels")
    return [images.to_grey(x) for x in originals] if channels == 1 else originals


def describe_grey(coloured, count):
    """Returns a sentence: that `coloured` of `count` images lose their colours."""
    return f"{coloured} of {count} images are in colour: converted to grey"


def find_faults(prepared, names, style, find_odd=None):
    """Describes what may spoil an adaptation to a support.

    Args:
      prepared: `drawings.Prepared`.
      names: of the images.
      style: `styles.Style` of the model's data.
      find_odd: `kinds.find_odd`, or None to accept images of different kinds.

    Returns:
      A list of sentences, each with what to do.
    """
    faults, count = [], len(names)
    blank, photo = np.flatnonzero(prepared.blank), np.flatnonzero(prepared.photo)
    if len(blank):
        faults.append(
            f"{len(blank)} of {count} images are almost blank "
            f"({name_some([names[i] for i in blank])}): draw with a darker or thicker "
            "pen, or crop the image to the drawing"
        )
    if len(photo):
        faults.append(
            f"{len(photo)} of {count} images seem to be no drawings on plain paper "
            f"({name_some([names[i] for i in photo])}): draw lines of even darkness on "
            "paper that fills the picture, in even light, and crop away frames"
        )
    support = prepared.support[~prepared.blank]
    if len(support) > 1 and (support == support[0]).all():
        faults.append(
            f"all {len(support)} images are the same: give different drawings of one "
            "kind of thing"
        )
    odd = find_odd(support, style) if find_odd else []
    if len(odd):
        inked = [name for name, b in zip(names, prepared.blank, strict=True) if not b]
        faults.append(
            "the images seem to show two kinds of things "
            f"({name_some([inked[i] for i in odd])} unlike the rest): give images of "
            "one kind"
        )
    return faults
