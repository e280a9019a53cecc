"""A generator that sees its support: it fuses the features of the support images.

In FIGR the support reaches the generator through the critic alone. Here an encoder maps
each support image to feature maps. The generator displaces these maps smoothly, mixes
them with random weights, and concatenates the mixture to its own features at each
resolution. Mixing with random weights follows F2GAN (Hong et al. 2020). The
displacement is ours: it aligns support images that are drawn in different places, and
varies the layout. The critic is that of the family `subpixel`.
"""

import jax
import numpy as np
from flax import linen as nn
from jax import numpy as jnp

from figr_jax.networks import base, layers, subpixel

Critic = subpixel.Critic

VECTOR = 64  # size of the vector that describes a support image
GRID = 4  # height and width of the grid of displacements
_RANGE = 0.25  # largest displacement, as a share of the image's side


class Encoder(base.Network):
    """Images to feature maps at each resolution, and to a vector each."""

    @nn.compact
    def __call__(self, images):
        """Encodes `[shots, H, W, C]`.

        Returns:
          Maps `[shots, H / 2**i, W / 2**i, width * 2**i]`, fine to coarse, and vectors
          `[shots, VECTOR]`.
        """
        x = self.norm_prelu(self.convolve(images, self.width, 5))
        maps = [x]
        for _ in range(self.stages):
            features = x.shape[-1] * 2
            x = self.norm_prelu(self.convolve(subpixel.unshuffle(x), features, 3))
            maps.append(x)
        return maps, layers.Dense(VECTOR)(x.reshape(len(x), -1))


class Generator(base.Generator):
    """Latents and a support to images.

    Attributes:
      sharpness: sharpness of the mixing weights. Near 0, all support images are mixed
        equally; with a large value, one of them is taken.
      low_pass: whether features are smoothed after each shuffle. A shuffle fills each
        block of pixels from four channels, so lines are rough without it.
    """

    sharpness: float
    low_pass: bool

    @nn.compact
    def __call__(self, latents, support):
        """Maps `[N, latent]` and `[shots, H, W, C]` to `[N, H, W, C]` in [-1, 1]."""
        encode = Encoder(self.width, self.stages, self.convolution, self.layer_norm)
        maps, vectors = encode(support)
        flow = Flow()(latents, _normalize(vectors))
        logits = self.sharpness * mixing_logits(latents, len(support))
        weights = jax.nn.softmax(logits)
        vector = jnp.broadcast_to(_normalize(vectors.mean(0)), (len(latents), VECTOR))
        x = self.start(jnp.concatenate([latents, vector], -1))
        for level in reversed(maps[1:]):
            x = jnp.concatenate([x, mix(level, weights, flow)], -1)
            x = subpixel.shuffle(self.convolve(x, level.shape[-1] * 2, 3))
            x = self.prelu_norm(layers.low_pass(x) if self.low_pass else x)
        x = jnp.concatenate([x, mix(maps[0], weights, flow)], -1)
        return self.end(self.prelu_norm(self.convolve(x, self.width, 3)))


def _normalize(vectors):
    """Scales vectors `[..., F]` to a root mean square of 1."""
    return vectors * jax.lax.rsqrt((vectors**2).mean(-1, keepdims=True) + 1e-6)


def mixing_logits(latents, shots):
    """Computes the logits of the mixing weights: coordinates of the latents.

    Each support image has a fixed random direction; its logit is the latent's
    coordinate along it. So a latent has the same size for any number of shots.

    Args:
      latents: `[N, latent]`, standard normal.
      shots: number of support images.

    Returns:
      `[N, shots]`, standard normal.
    """
    directions = _directions(shots, latents.shape[-1])
    return latents @ jnp.asarray(directions.T, latents.dtype)


def steering(shots, latent):
    """Computes the changes of a latent that each raise one mixing logit by 1.

    The latents are those that `Generator` takes. `adapted.Adapted.draw` scales its
    latents first, so there a change raises the logit by one standard deviation.

    Args:
      shots: number of support images.
      latent: size of a latent, at least `shots`.

    Returns:
      `[shots, latent]` float32; row i is the smallest change that raises logit i by 1
      and leaves the others as they are.
    """
    return np.linalg.pinv(_directions(shots, latent)).T.astype(np.float32)


def _directions(shots, latent):
    """Returns a unit vector for each support image: `[shots, latent]`."""
    directions = np.random.default_rng(0).standard_normal((shots, latent))
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


class Flow(nn.Module):
    """Displacements of the feature maps of each support image, small at first."""

    @nn.compact
    def __call__(self, latents, vectors):
        """Computes displacements along H and W, as shares of the side.

        Args:
          latents: `[N, latent]`.
          vectors: `[shots, VECTOR]`, of the support images.

        Returns:
          `[N, shots, GRID, GRID, 2]`.
        """
        mean = jnp.broadcast_to(vectors.mean(0), vectors.shape)
        seen = layers.Dense(VECTOR)(jnp.concatenate([vectors, mean], -1))
        seen = nn.gelu(seen + layers.Dense(VECTOR)(latents)[:, None])
        shape = (VECTOR, 2 * GRID**2)
        kernel = self.param("kernel", nn.initializers.normal(0.02), shape)
        flow = _RANGE * jnp.tanh(seen @ kernel)
        return flow.reshape(*flow.shape[:2], GRID, GRID, 2)


def mix(maps, weights, flow):
    """Mixes displaced feature maps of the support images.

    A map is read at displaced positions, linearly interpolated, in two passes (Catmull
    and Smith 1980): along W, then along H. Each pass is a matrix product, which is
    faster than gathering and has a deterministic derivative. The second pass also sums
    over the support.

    Args:
      maps: `[shots, H, W, F]`.
      weights: mixing weights `[N, shots]`.
      flow: `[N, shots, grid, grid, 2]`, displacements along H and W as shares of the
        side; resized to the resolution of the maps.

    Returns:
      `[N, H, W, F]`.
    """
    shots, height, width, _ = maps.shape
    flow = jax.image.resize(flow, (len(flow), shots, height, width, 2), "linear")
    rows = jnp.arange(height)[:, None] + flow[..., 0] * height
    columns = jnp.arange(width) + flow[..., 1] * width
    moved = jnp.einsum("nshwv,shvf->nshwf", _interpolation(columns, width), maps)
    readers = weights[:, :, None, None, None] * _interpolation(rows, height)
    return jnp.einsum("nshwk,nskwf->nhwf", readers, moved)


def _interpolation(positions, size):
    """Computes weights of the `size` grid points for positions: `[..., size]`."""
    positions = jnp.clip(positions, 0, size - 1)[..., None]
    return jnp.maximum(0, 1 - jnp.abs(positions - jnp.arange(size)))
