"""Controls: what a model must beat, and what it must not be.

Each makes images from a support without any model.
"""

from typing import NamedTuple

import jax
from jax import numpy as jnp
from jax.scipy import ndimage
from scipy.spatial import distance


class Strength(NamedTuple):
    """Bounds of the random transforms.

    Attributes:
      rotation: radians.
      scale: share of the size.
      shear: share of the size.
      shift: share of the size.
      elastic: share of the size that a point moves, about; on a grid of 4x4 points.
    """

    rotation: float
    scale: float
    shear: float
    shift: float
    elastic: float


# What a hand does that draws the same thing again.
JITTER = Strength(rotation=0.15, scale=0.1, shear=0.1, shift=0.05, elastic=0.02)

_GRID = 4
_FEW = 2  # images of a training class, to find the nearest one by


def transform(key, images, strength):
    """A random affine and elastic transform of each image.

    Args:
      key: PRNG key.
      images: `[N, H, W, C]` floats; what comes in from outside repeats the border.
      strength: `Strength`.

    Returns:
      `[N, H, W, C]` floats.
    """
    keys = jax.random.split(key, len(images))
    return jax.vmap(lambda k, x: _transform(k, x, strength))(keys, images)


def _transform(key, image, strength):
    height, width, channels = image.shape
    keys = jax.random.split(key, 5)

    def draw(i, bound, shape=()):
        return jax.random.uniform(keys[i], shape, minval=-bound, maxval=bound)

    angle = draw(0, strength.rotation)
    zoom = jnp.exp(draw(1, strength.scale, (2,)))
    shear = draw(2, strength.shear)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    turn = jnp.array([[cos, -sin], [sin, cos]])
    matrix = turn @ jnp.array([[1.0, shear], [0.0, 1.0]]) * zoom
    y, x = jnp.meshgrid(
        jnp.linspace(-0.5, 0.5, height), jnp.linspace(-0.5, 0.5, width), indexing="ij"
    )
    moved = jnp.einsum("ij,jhw->ihw", matrix, jnp.stack([y, x]))
    moved += draw(3, strength.shift, (2, 1, 1))
    coarse = strength.elastic * jax.random.normal(keys[4], (2, _GRID, _GRID))
    moved += jax.image.resize(coarse, (2, height, width), "cubic")
    sizes = jnp.array([height - 1, width - 1])[:, None, None]
    where = (moved + 0.5) * sizes
    planes = [
        ndimage.map_coordinates(image[..., c], list(where), order=1, mode="nearest")
        for c in range(channels)
    ]
    return jnp.stack(planes, axis=-1)


@jax.jit
def _jitter(key, images):
    return transform(key, images, JITTER)


def jitter(support, count, key):
    """Repeats the support, with a small random transform of each image.

    Args:
      support: `[shots, H, W, C]` uint8.
      count: images to make.
      key: PRNG key.

    Returns:
      `[count, H, W, C]` uint8.
    """
    images = copy(support, count).astype("float32")
    moved = _jitter(key, images)
    return jnp.clip(jnp.round(moved), 0, 255).astype("uint8")


def jitter_all(supports, count, seed):
    """Jitters each of several supports, see `jitter`: a list, one a class."""
    keys = jax.random.split(jax.random.key(seed), len(supports))
    return [jitter(x, count, key) for x, key in zip(supports, keys, strict=True)]


def copy(support, count):
    """Repeats the support: `[shots, ...]` to `[count, ...]`."""
    times = -(-count // len(support))
    return jnp.tile(support, (times, 1, 1, 1))[:count]


def embed_classes(judge, bank, classes):
    """Returns the mean features of a few images of each class: `[classes, F]`."""
    images = (bank.class_images(c) for c in classes)
    return judge.class_means([x[:: -(-len(x) // _FEW)] for x in images])


def make_controls(judge, draw, bank, training, known, count, seed):
    """Makes the controls that use no model.

    Args:
      judge: `judging.Judge`.
      draw: `supports.Draw`.
      bank: `bank.Bank`.
      training: indices of the training classes.
      known: what `embed_classes` found of them.
      count: images of each class.
      seed: of the jitter.

    Returns:
      A dict: name to a list of `[m, H, W, C]` uint8, one a class.
    """
    distances = distance.cdist(judge.class_means(draw.supports), known)
    nearest = training[distances.argmin(1)]
    return {
        "held-out real": draw.real,
        "support copied": [copy(x, count) for x in draw.supports],
        "support jittered": jitter_all(draw.supports, count, seed),
        "nearest training class": [bank.class_images(c)[:count] for c in nearest],
    }
