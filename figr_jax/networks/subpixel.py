"""A cheap generator and critic for small models, not from the paper.

The DCGAN's critic widens its channels before it pools, which takes nearly all of the
time of a meta-step. Its generator renders the finest lines by one linear layer. Here
both resize by pixel shuffling (Shi et al. 2016), which turns blocks of pixels into
channels and back, so that all wide convolutions run at a lower resolution. Both have
one narrow layer at full resolution.
"""

from flax import linen as nn
from jax import numpy as jnp

from figr_jax.networks import layers


def shuffle(x):
    """Turns channels into pixels: `[N, H, W, 4C]` to `[N, 2H, 2W, C]`."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height, width, 2, 2, channels // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * width, -1)


def unshuffle(x):
    """Inverts `shuffle`: `[N, 2H, 2W, C]` to `[N, H, W, 4C]`."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height // 2, 2, width // 2, 2, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, height // 2, width // 2, -1)


class Generator(nn.Module):
    """Latents to images: dense start, 3x3 convolutions with shuffles, tanh.

    Attributes:
      image_size: height and width of the image, pixels.
      channels: channels of the image.
      width: channels after the last stage; each stage halves them.
      stages: number of upsamplings by 2.
      convolution: lowering of the convolutions, one of `convolution.LOWERINGS`.
      layer_norm: whether layers are normalized.
    """

    image_size: int
    channels: int
    width: int
    stages: int
    convolution: str = "auto"
    layer_norm: bool = True

    @nn.compact
    def __call__(self, latents):
        """Maps `[N, latent]` to `[N, image_size, image_size, channels]` in [-1, 1]."""
        x = layers.start(
            latents, self.image_size, self.width, self.stages, self.layer_norm
        )
        for _ in range(self.stages):
            x = layers.Convolution(x.shape[-1] * 2, 3, self.convolution)(x)
            x = layers.LayerNorm(self.layer_norm)(layers.PReLU()(shuffle(x)))
        x = layers.Convolution(self.width, 3, self.convolution)(x)
        x = layers.LayerNorm(self.layer_norm)(layers.PReLU()(x))
        return jnp.tanh(layers.Convolution(self.channels, 5, self.convolution)(x))


class Critic(nn.Module):
    """Images to one value each: unshuffles and 3x3 convolutions, flatten, dense.

    The norm comes before the PReLU, as in the DCGAN's critic.

    Attributes:
      width: channels after the first convolution; each stage doubles them.
      stages: number of downsamplings by 2.
      convolution: lowering of the convolutions, one of `convolution.LOWERINGS`.
      layer_norm: whether layers are normalized.
      minibatch_std: whether a value depends on the other images of its batch, see
        `layers.end`.
    """

    width: int
    stages: int
    convolution: str = "auto"
    layer_norm: bool = True
    minibatch_std: bool = False

    @nn.compact
    def __call__(self, images):
        """Maps each batch separately: `[..., N, H, W, C]` to `[..., N]`."""
        x = layers.images_of(images)
        x = layers.Convolution(self.width, 5, self.convolution)(x)
        x = layers.PReLU()(layers.LayerNorm(self.layer_norm)(x))
        for _ in range(self.stages):
            features = x.shape[-1] * 2
            x = layers.Convolution(features, 3, self.convolution)(unshuffle(x))
            x = layers.PReLU()(layers.LayerNorm(self.layer_norm)(x))
        return layers.end(x, images, self.minibatch_std)
