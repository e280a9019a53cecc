"""A generator that sees its support: it fuses the features of the support images.

In FIGR the support reaches the generator through the critic alone. Here an encoder maps
each support image to feature maps, and the generator joins a random mixture of those
maps at each resolution, after F2GAN (Hong et al. 2020), whose generator fuses the
features of a class with random weights. The critic is that of the family `subpixel`.
"""

import jax
import numpy as np
from flax import linen as nn
from jax import numpy as jnp

from figr_jax.networks import layers, subpixel

Critic = subpixel.Critic

VECTOR = 64  # numbers that describe a support
_RANGE = 0.25  # of the image's side: the farthest that a warp moves a feature


class Encoder(nn.Module):
    """Images to feature maps at each resolution, and to a vector each.

    Attributes:
      width: channels at full resolution; each stage doubles them.
      stages: number of downsamplings by 2.
      convolution: lowering of the convolutions, one of `convolution.LOWERINGS`.
      layer_norm: whether layers are normalised.
    """

    width: int
    stages: int
    convolution: str
    layer_norm: bool

    @nn.compact
    def __call__(self, images):
        """Encodes `[shots, H, W, C]`.

        Returns:
          Maps `[shots, H / 2**i, W / 2**i, width * 2**i]`, fine to coarse, and vectors
          `[shots, VECTOR]`.
        """
        x = layers.Convolution(self.width, 5, self.convolution)(images)
        x = layers.PReLU()(layers.LayerNorm(self.layer_norm)(x))
        maps = [x]
        for _ in range(self.stages):
            features = x.shape[-1] * 2
            x = subpixel.unshuffle(x)
            x = layers.Convolution(features, 3, self.convolution)(x)
            x = layers.PReLU()(layers.LayerNorm(self.layer_norm)(x))
            maps.append(x)
        return maps, layers.Dense(VECTOR)(x.reshape(len(x), -1))


class Generator(nn.Module):
    """Latents and a support to images.

    Attributes:
      image_size: height and width of the image, pixels.
      channels: channels of the image.
      width: channels at full resolution; each stage doubles them.
      stages: number of upsamplings by 2.
      convolution: lowering of the convolutions, one of `convolution.LOWERINGS`.
      layer_norm: whether layers are normalised.
      sharpness: of the mixing weights. 0 mixes all support images alike, a large value
        takes one of them.
      regions: mixing weights differ between `regions` x `regions` regions of an image.
      warp: whether the noise displaces the features before they are mixed.
    """

    image_size: int
    channels: int
    width: int
    stages: int
    convolution: str = "auto"
    layer_norm: bool = True
    sharpness: float = 2.0
    regions: int = 1
    warp: bool = False

    @nn.compact
    def __call__(self, latents, support):
        """Maps `[N, latent]` and `[shots, H, W, C]` to `[N, H, W, C]` in [-1, 1]."""
        encode = Encoder(self.width, self.stages, self.convolution, self.layer_norm)
        maps, vectors = encode(support)
        logits = self.sharpness * mixing_logits(latents, len(support), self.regions)
        flow = None
        if self.warp:
            flow = Flow()(latents, _normalize(vectors))
        vector = jnp.broadcast_to(_normalize(vectors.mean(0)), (len(latents), VECTOR))
        x = layers.start(
            jnp.concatenate([latents, vector], -1),
            *(self.image_size, self.width, self.stages, self.layer_norm),
        )
        for level in reversed(maps[1:]):
            x = jnp.concatenate([x, mix(level, logits, flow)], -1)
            x = layers.Convolution(level.shape[-1] * 2, 3, self.convolution)(x)
            x = subpixel.shuffle(x)
            x = layers.LayerNorm(self.layer_norm)(layers.PReLU()(x))
        x = jnp.concatenate([x, mix(maps[0], logits, flow)], -1)
        x = layers.Convolution(self.width, 3, self.convolution)(x)
        x = layers.LayerNorm(self.layer_norm)(layers.PReLU()(x))
        return jnp.tanh(layers.Convolution(self.channels, 5, self.convolution)(x))


def _normalize(vectors):
    """Scales vectors `[..., F]` to a root mean square of 1."""
    return vectors * jax.lax.rsqrt((vectors**2).mean(-1, keepdims=True) + 1e-6)


def mixing_logits(latents, shots, regions):
    """The part of the latents that says how to mix.

    Each support image and region has a fixed random direction; its logit is the
    latent's coordinate along it. So a latent has the same size for any number of shots.

    Args:
      latents: `[N, latent]`, standard normal.
      shots: number of support images.
      regions: regions along each axis of an image.

    Returns:
      `[N, regions, regions, shots]`, standard normal.
    """
    size = latents.shape[-1]
    directions = np.random.default_rng(0).standard_normal((shots, regions**2, size))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    logits = latents @ jnp.asarray(directions.reshape(-1, size).T, latents.dtype)
    return logits.reshape(-1, shots, regions, regions).transpose(0, 2, 3, 1)


class Flow(nn.Module):
    """Displacements of the features of each support image, smooth, at first none."""

    grid: int = 4

    @nn.compact
    def __call__(self, latents, vectors):
        """Maps `[N, latent]` and `[shots, VECTOR]` to `[N, shots, grid, grid, 2]`."""
        n, shots = len(latents), len(vectors)
        mean = jnp.broadcast_to(vectors.mean(0), vectors.shape)
        seen = jnp.concatenate([vectors, mean], -1)
        seen = layers.Dense(VECTOR)(seen)[None] + layers.Dense(VECTOR)(latents)[:, None]
        seen = nn.gelu(seen)
        shape = (VECTOR, 2 * self.grid**2)
        kernel = self.param("kernel", nn.initializers.normal(0.02), shape)
        flow = _RANGE * jnp.tanh(seen @ kernel)
        return flow.reshape(n, shots, self.grid, self.grid, 2)


def mix(maps, logits, flow=None):
    """A random mixture of the feature maps of the support images, one an image.

    Args:
      maps: `[shots, H, W, F]`.
      logits: `[N, regions, regions, shots]`; their softmax over the shots, resized to
        the resolution of the maps, is the mixing weights.
      flow: `[N, shots, grid, grid, 2]`, displacements along H and W as shares of the
        side, resized likewise; None: the maps stay in place.

    Returns:
      `[N, H, W, F]`.
    """
    n, regions, _, shots = logits.shape
    height, width = maps.shape[1:3]
    if regions > 1:
        logits = jax.image.resize(logits, (n, height, width, shots), "linear")
    weights = jax.nn.softmax(logits)
    if flow is not None:
        flow = jax.image.resize(flow, (n, shots, height, width, 2), "linear")
        return _mix_displaced(maps, weights, flow)
    if regions == 1:
        return jnp.einsum("ns,shwf->nhwf", weights[:, 0, 0], maps)
    return jnp.einsum("nhws,shwf->nhwf", weights, maps)


def _mix_displaced(maps, weights, flow):
    """Mixes maps that are read at displaced positions, linearly interpolated.

    In two passes (Catmull and Smith 1980), along W, then along H: each is a matrix
    product, which is faster than gathering and has a deterministic derivative. The
    second one also sums over the support.

    Args:
      maps: `[shots, H, W, F]`.
      weights: mixing weights `[N, H or 1, W or 1, shots]`.
      flow: `[N, shots, H, W, 2]`, displacements along H and W as shares of the side.

    Returns:
      `[N, H, W, F]`.
    """
    height, width = maps.shape[1:3]
    rows = jnp.arange(height)[:, None] + flow[..., 0] * height
    columns = jnp.arange(width) + flow[..., 1] * width
    moved = jnp.einsum("nshwv,shvf->nshwf", _interpolation(columns, width), maps)
    weights = weights.transpose(0, 3, 1, 2)[..., None] * _interpolation(rows, height)
    return jnp.einsum("nshwk,nskwf->nhwf", weights, moved)


def _interpolation(positions, size):
    """Weights of the `size` grid points next to each position: `[..., size]`."""
    positions = jnp.clip(positions, 0, size - 1)[..., None]
    return jnp.maximum(0, 1 - jnp.abs(positions - jnp.arange(size)))
