"""Controls: image sets made without a model, for comparison with its images.

Each function makes images from a support.
"""

import jax
from jax import numpy as jnp
from jax.scipy import ndimage
from scipy.spatial import distance

# Bounds of the jitter: the variation of a hand that draws the same thing again.
_ROTATION = 0.15  # radians
_SCALE = 0.1  # of the size, as the next three
_SHEAR = 0.1
_SHIFT = 0.05
_ELASTIC = 0.02  # standard deviation of the shift of a point of the grid
_GRID = 4  # points per side, for the elastic transform
_FEW = 2  # images of a training class, to find the nearest one by


@jax.jit
def transform(key, images):
    """Applies a small random affine and elastic transform to each image.

    Args:
      key: PRNG key.
      images: `[N, H, W, C]` floats; pixels from outside repeat the border.

    Returns:
      `[N, H, W, C]` floats.
    """
    return jax.vmap(_transform)(jax.random.split(key, len(images)), images)


def _transform(key, image):
    height, width, channels = image.shape
    keys = jax.random.split(key, 5)

    def draw(i, bound, shape=()):
        return jax.random.uniform(keys[i], shape, minval=-bound, maxval=bound)

    angle = draw(0, _ROTATION)
    zoom = jnp.exp(draw(1, _SCALE, (2,)))
    shear = draw(2, _SHEAR)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    turn = jnp.array([[cos, -sin], [sin, cos]])
    matrix = turn @ jnp.array([[1.0, shear], [0.0, 1.0]]) * zoom
    y, x = jnp.meshgrid(
        jnp.linspace(-0.5, 0.5, height), jnp.linspace(-0.5, 0.5, width), indexing="ij"
    )
    moved = jnp.einsum("ij,jhw->ihw", matrix, jnp.stack([y, x]))
    moved += draw(3, _SHIFT, (2, 1, 1))
    coarse = _ELASTIC * jax.random.normal(keys[4], (2, _GRID, _GRID))
    moved += jax.image.resize(coarse, (2, height, width), "cubic")
    sizes = jnp.array([height - 1, width - 1])[:, None, None]
    where = (moved + 0.5) * sizes
    planes = [
        ndimage.map_coordinates(image[..., c], list(where), order=1, mode="nearest")
        for c in range(channels)
    ]
    return jnp.stack(planes, axis=-1)


def jitter(support, count, key):
    """Repeats the support, with a small random transform of each image.

    Args:
      support: `[shots, H, W, C]` uint8.
      count: images to make.
      key: PRNG key.

    Returns:
      `[count, H, W, C]` uint8.
    """
    moved = transform(key, copy(support, count).astype("float32"))
    return jnp.clip(jnp.round(moved), 0, 255).astype("uint8")


def jitter_all(draw, count):
    """Jitters each support of a `supports.Draw`, see `jitter`: a list, one a class."""
    keys = jax.random.split(jax.random.key(draw.seed), len(draw.supports))
    return [jitter(x, count, key) for x, key in zip(draw.supports, keys, strict=True)]


def copy(support, count):
    """Repeats the support: `[shots, ...]` to `[count, ...]`."""
    return jnp.resize(support, (count, *support.shape[1:]))


def embed_classes(evaluator, bank, classes):
    """Returns the mean features of a few images of each class: `[classes, F]`."""
    images = (bank.class_images(c) for c in classes)
    return evaluator.class_means([x[:: -(-len(x) // _FEW)] for x in images])


def make_controls(evaluator, draw, bank, training, known, count):
    """Makes the controls that use no model.

    Args:
      evaluator: `evaluators.Evaluator`.
      draw: `supports.Draw`.
      bank: `bank.Bank`.
      training: indices of the training classes.
      known: features of them, see `embed_classes`.
      count: images of each class.

    Returns:
      A dict: name to a list of `[m, H, W, C]` uint8, one a class.
    """
    distances = distance.cdist(evaluator.class_means(draw.supports), known)
    nearest = training[distances.argmin(1)]
    return {
        "held-out real": draw.real,
        "support copied": [copy(x, count) for x in draw.supports],
        "support jittered": jitter_all(draw, count),
        "nearest training class": [bank.class_images(c)[:count] for c in nearest],
    }
