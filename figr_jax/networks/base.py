"""Base classes of generators and critics: their sizes, and first and last layers."""

from flax import linen as nn
from jax import numpy as jnp

from figr_jax.networks import layers


class Network(nn.Module):
    """The sizes that all networks share; call the methods in a `compact` method.

    Attributes:
      width: channels at full resolution.
      stages: number of up- or downsamplings by 2.
      convolution: lowering of the convolutions, one of `convolution.LOWERINGS`.
      layer_norm: whether layers are normalized.
    """

    width: int
    stages: int
    convolution: str
    layer_norm: bool

    def convolve(self, x, features, size):
        """Convolves `[N, H, W, I]` with a kernel of `size`: `[N, H, W, features]`."""
        return layers.Convolution(features, size, self.convolution)(x)

    def prelu_norm(self, x):
        """Applies a PReLU, then the norm, to `[N, ...]`."""
        return layers.LayerNorm(self.layer_norm)(layers.PReLU()(x))

    def norm_prelu(self, x):
        """Applies the norm, then a PReLU, to `[N, ...]`."""
        return layers.PReLU()(layers.LayerNorm(self.layer_norm)(x))


class Generator(Network):
    """Sizes of a generator; each stage halves the channels.

    Attributes:
      image_size: height and width of the image, pixels.
      channels: channels of the image.
    """

    image_size: int
    channels: int

    def start(self, latents):
        """Maps `[N, latent]` to features at the lowest resolution, by a dense layer.

        Returns:
          `[N, image_size / 2**stages, image_size / 2**stages, width * 2**stages]`.
        """
        side, features = self.image_size >> self.stages, self.width << self.stages
        x = self.prelu_norm(layers.Dense(side * side * features)(latents))
        return x.reshape(-1, side, side, features)

    def end(self, x):
        """Maps features `[N, H, W, F]` to images `[N, H, W, channels]` in [-1, 1]."""
        return jnp.tanh(self.convolve(x, self.channels, 5))


class Critic(Network):
    """Sizes of a critic; each stage doubles the channels.

    Attributes:
      minibatch_std: whether a value depends on the other images of its batch.
    """

    minibatch_std: bool

    def end(self, features, batches):
        """Maps features to one value per image.

        With `minibatch_std`, the dense layer also sees the standard deviation of each
        feature over the batch, which shows how diverse the images are. Karras et al.
        2018, section 3, use one number, its mean over the features.

        Args:
          features: `[images, ...]`, features of all images.
          batches: `[..., N, H, W, C]`, the images.

        Returns:
          Values `[..., N]`.
        """
        x = features.reshape(*batches.shape[:-3], -1)
        if self.minibatch_std:
            # 1e-4, since the root has no derivative where all features are equal.
            std = jnp.sqrt(x.var(-2, keepdims=True) + 1e-4)
            x = jnp.concatenate([x, jnp.broadcast_to(std, x.shape)], -1)
        return layers.Dense(1)(x)[..., 0]
