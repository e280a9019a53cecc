"""The paper's residual generator and critic (section 5.1)."""

from flax import linen as nn
from jax import numpy as jnp

from figr_jax.networks import layers


class Generator(nn.Module):
    """Latents to images: dense start, `stages` residual stages, 5x5 convolution, tanh.

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
            x = layers.ResidualBlock(self.convolution, self.layer_norm)(x)
            x = layers.ResidualBlock(self.convolution, self.layer_norm)(x)
            x = layers.Convolution(x.shape[-1] // 2, 3, self.convolution)(x)
            x = layers.LayerNorm(self.layer_norm)(layers.PReLU()(x))
            x = layers.upsample(x)
        return jnp.tanh(layers.Convolution(self.channels, 5, self.convolution)(x))


class Critic(nn.Module):
    """Images to one value each: 7x7 convolution, residual stages, pooling, dense.

    Attributes:
      width: channels after the first convolution; each stage doubles them.
      stages: number of 2x2 average poolings.
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
        x = layers.Convolution(self.width, 7, self.convolution)(x)
        x = layers.LayerNorm(self.layer_norm)(layers.PReLU()(x))
        for _ in range(self.stages):
            x = layers.ResidualBlock(self.convolution, self.layer_norm)(x)
            x = layers.ResidualBlock(self.convolution, self.layer_norm)(x)
            x = layers.Convolution(x.shape[-1] * 2, 3, self.convolution)(x)
            x = layers.LayerNorm(self.layer_norm)(layers.PReLU()(x))
            x = layers.downsample(x)
        return layers.end(x.mean((1, 2)), images, self.minibatch_std)
