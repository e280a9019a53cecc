"""Recipes that reproduce images: support, seed, inner steps and latents, as JSON.

The studio writes a recipe into each zip that it exports; `sample --recipe` reads it.
"""

import base64
import binascii
import io
import json
import pathlib
from typing import NamedTuple

import numpy as np

import figr_jax
from figr_jax.common import files
from figr_jax.common.errors import BadInput
from figr_jax.data import images


class Recipe(NamedTuple):
    """Support, seed, inner steps and latents that reproduce images.

    Attributes:
      support: `[shots, H, W, C]` uint8, as the networks see it.
      seed: seed of the adaptation.
      inner_steps: K.
      latents: `[count, latent]` float32; None: latents drawn with the seed.
    """

    support: np.ndarray
    seed: int
    inner_steps: int
    latents: np.ndarray | None


def encode(image):
    """Encodes an image as a PNG file in base64, a string."""
    return base64.b64encode(images.encode(image)).decode()


def decode(text, channels, max_pixels=images.MAX_PIXELS):
    """Decodes an image file in base64, also with line breaks or as a data URL.

    Arguments and result are those of `images.decode`.

    Raises:
      images.Unreadable: if it cannot be decoded.
    """
    try:
        if text.startswith("data:"):
            text = text.partition(",")[2]
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise images.Unreadable("not in base64") from error
    return images.decode(io.BytesIO(data), channels, max_pixels)


def identify(model):
    """Returns a checksum of the weights of a `generation.FewShotGenerator`."""
    return files.json_checksum(model.info["checksums"])


def write(recipe, snapshot, dataset):
    """Converts a `Recipe` to a JSON-able dict.

    Args:
      recipe: `Recipe`.
      snapshot: checksum of the model's weights, see `identify`.
      dataset: name of the data set that the model was trained on.
    """
    return {
        "figr_jax": figr_jax.__version__,
        "snapshot": snapshot,
        "dataset": dataset,
        "support": [encode(image) for image in recipe.support],
        "seed": recipe.seed,
        "inner_steps": recipe.inner_steps,
        "latents": recipe.latents.tolist(),  # exact: a double holds any float32
    }


def read(path, model):
    """Reads a recipe.

    Args:
      path: path of a JSON file.
      model: `generation.FewShotGenerator`.

    Returns:
      A `Recipe`.

    Raises:
      BadInput: if it cannot be read, or belongs to another snapshot.
    """
    networks = model.networks
    try:
        fields = json.loads(pathlib.Path(path).read_text())
        support = np.stack([decode(x, networks.channels) for x in fields["support"]])
        latents = np.array(fields["latents"], np.float32)
        seed, steps = int(fields["seed"]), int(fields["inner_steps"])
        if fields["snapshot"] != identify(model):
            raise BadInput(
                f"--recipe={path}: belongs to another snapshot, trained on "
                f"{fields['dataset']}; give that one as --checkpoint"
            )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__} {error}"
        raise BadInput(f"--recipe={path}: cannot be read ({reason})") from error
    size = networks.image_size, networks.image_size, networks.channels
    is_whole = 0 <= seed < 2**32 and 0 <= steps < 2**32
    fits = support.shape[1:] == size and latents.shape[1:] == (networks.latent,)
    if not (is_whole and fits and np.isfinite(latents).all()):
        raise BadInput(f"--recipe={path}: its values do not fit the snapshot")
    return Recipe(support, seed, steps, latents)
