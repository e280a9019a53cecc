"""Generators and critics: pure functions of (parameters, inputs)."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from jax import numpy as jnp

from figr_jax.networks import dcgan, fusion, resnet, subpixel

FAMILIES = {
    "resnet": resnet,
    "dcgan": dcgan,
    "subpixel": subpixel,
    "fusion": fusion,
}
DTYPES = ("float32", "bfloat16")


class GanParams(NamedTuple):
    """Parameters of a generator and its critic: pytrees, the paper's Phi or W_tau."""

    generator: Any
    critic: Any


class Networks(NamedTuple):
    """A generator, its critic and the sizes of their inputs. Hashable.

    Attributes:
      generator: `[N, latent]` to `[N, image_size, image_size, channels]` in [-1, 1]; if
        `sees_support`, it also takes a support `[shots, H, W, C]`.
      critic: `[..., N, H, W, C]` to `[..., N]`.
      latent: size of a latent.
      image_size: height and width, pixels.
      channels: 1 or 3.
      dtype: dtype of the arithmetic; parameters, inputs and outputs are float32.
      sees_support: whether the generator sees the support; the paper's do not.
    """

    generator: nn.Module
    critic: nn.Module
    latent: int
    image_size: int
    channels: int
    dtype: str = "float32"
    sees_support: bool = False

    @functools.partial(jax.jit, static_argnums=0)
    def generate(self, params, latents, support):
        """Generates images.

        Args:
          params: parameters of the generator.
          latents: `[N, latent]`.
          support: `[shots, H, W, C]` in [-1, 1]; the paper's families ignore it.

        Returns:
          `[N, H, W, C]` in [-1, 1].
        """
        inputs = (latents, support) if self.sees_support else (latents,)
        return self._apply(self.generator, params, *inputs)

    @functools.partial(jax.jit, static_argnums=0)
    def criticize(self, params, images):
        """Evaluates the critic: `[..., N, H, W, C]` to `[..., N]`."""
        return self._apply(self.critic, params, images)

    def steering(self, shots):
        """Returns changes of latents that raise one mixing logit each by 1.

        Args:
          shots: number of support images.

        Returns:
          `[shots, latent]` float32, see `fusion.steering`; `[0, latent]` for a family
          without mixing weights.
        """
        if not self.sees_support:
            return np.zeros((0, self.latent), np.float32)
        return fusion.steering(shots, self.latent)

    def _apply(self, module, params, *inputs):
        given = inputs[0].dtype
        params, inputs = jax.tree.map(lambda x: x.astype(self.dtype), (params, inputs))
        return module.apply({"params": params}, *inputs).astype(given)

    def init(self, key):
        """Initialises parameters by PyTorch's default (see `layers.uniform_fan_in`)."""
        generator_key, critic_key = jax.random.split(key)
        latents = jnp.zeros((1, self.latent))
        images = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        inputs = (latents, images) if self.sees_support else (latents,)
        return GanParams(
            self.generator.init(generator_key, *inputs)["params"],
            self.critic.init(critic_key, images)["params"],
        )


def build(
    family,
    *,
    image_size,
    channels=1,
    width=64,
    stages=4,
    latent=100,
    convolution="auto",
    layer_norm=True,
    minibatch_std=False,
    dtype="float32",
    sharpness=3.0,
    low_pass=False,
):
    """Builds a generator and its critic, for any size.

    Args:
      family: a key of `FAMILIES`.
      image_size: height and width, pixels; a multiple of `2**stages`.
      channels: channels of the images, 1 or 3.
      width: channels at full resolution (64 in the paper).
      stages: number of up- and downsamplings (4 in the paper).
      latent: size of a latent (100 in the paper).
      convolution: one of `convolution.LOWERINGS`.
      layer_norm: False leaves the layer norms of the paper out.
      minibatch_std: True lets the critic see the standard deviation over a batch.
      dtype: dtype of the arithmetic, one of `DTYPES`.
      sharpness: sharpness of the mixing weights.
      low_pass: whether the generator smooths upsampled features. The family `fusion`
        alone uses this and `sharpness`, see `fusion.Generator`.

    Returns:
      `Networks`.
    """
    module = FAMILIES[family]
    sees_support = family == "fusion"
    sizes = {"width": width, "stages": stages}
    sizes |= {"convolution": convolution, "layer_norm": layer_norm}
    images = {"image_size": image_size, "channels": channels}
    fusing = {"sharpness": sharpness, "low_pass": low_pass} if sees_support else {}
    return Networks(
        module.Generator(**sizes, **images, **fusing),
        module.Critic(**sizes, minibatch_std=minibatch_std),
        latent=latent,
        **images,
        dtype=dtype,
        sees_support=sees_support,
    )
