"""Random views of an image, which SimCLR learns to take for the same image.

Crops, thinner and thicker strokes, blur, and a square cut out. No rotation, shear,
shift or elastic transform: those make the jittered support (`controls.jitter`), and an
embedding that ignores them would take the jittered support for copies.
"""

import jax
from jax import numpy as jnp

_CROP = 0.7  # of the side: the smallest crop
_BLUR = 1.5  # pixels: the largest standard deviation
_CUT = 0.35  # of the side: the largest square that is cut out
_REACH = 3  # pixels, of the blur's kernel


def view(key, images):
    """Renders a random view of each image.

    Args:
      key: PRNG key.
      images: `[N, H, W, C]` floats.

    Returns:
      `[N, H, W, C]` floats.
    """
    return jax.vmap(_view)(jax.random.split(key, len(images)), images)


def _view(key, image):
    for step in (_crop, _thicken, _blur, _cut_out):
        key, used = jax.random.split(key)
        image = step(used, image)
    return image


def _crop(key, image):
    """Enlarges a random square part to the whole."""
    of_size, of_place = jax.random.split(key)
    side = jax.random.uniform(of_size, minval=_CROP)
    corner = (1 - side) * jax.random.uniform(of_place, (2,))
    size = jnp.array(image.shape[:2])
    zoom = jnp.full(2, 1 / side)
    return jax.image.scale_and_translate(
        image, image.shape, (0, 1), zoom, -corner * size * zoom, "linear"
    )


def _thicken(key, image):
    """Blends an image with its darkest or lightest neighbours."""
    of_which, of_share = jax.random.split(key)
    edges = ((1, 1), (1, 1), (0, 0))
    padded = jnp.pad(image, edges, mode="edge")
    height, width, _ = image.shape
    near = jnp.stack(
        [
            padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]
            for y, x in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
        ]
    )
    extreme = jnp.where(jax.random.bernoulli(of_which), near.max(0), near.min(0))
    share = jax.random.uniform(of_share)
    return image + share * (extreme - image)


def _blur(key, image):
    """Blurs with a Gaussian."""
    deviation = jax.random.uniform(key, minval=1e-3, maxval=_BLUR)
    offsets = jnp.arange(-_REACH, _REACH + 1)
    kernel = jnp.exp(-((offsets / deviation) ** 2) / 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        edges = [(0, 0)] * 3
        edges[axis] = (_REACH, _REACH)
        padded = jnp.pad(image, edges, mode="edge")
        size = image.shape[axis]
        image = sum(
            weight * jax.lax.slice_in_dim(padded, i, i + size, axis=axis)
            for i, weight in enumerate(kernel)
        )
    return image


def _cut_out(key, image):
    """Covers a square with the median colour of the border."""
    of_size, of_place = jax.random.split(key)
    side = jax.random.uniform(of_size, maxval=_CUT)
    corner = (1 - side) * jax.random.uniform(of_place, (2,))
    y, x = (jnp.arange(size) / size for size in image.shape[:2])
    inside = [
        (corner[i] <= at) & (at < corner[i] + side) for i, at in enumerate((y, x))
    ]
    covered = inside[0][:, None, None] & inside[1][None, :, None]
    border = jnp.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return jnp.where(covered, jnp.median(border, 0), image)
