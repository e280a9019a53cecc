"""The DCGAN generator and critic, the default of the published code."""

from flax import linen as nn

from figr_jax.networks import base, layers


class Generator(base.Generator):
    """Latents to images: dense start, `stages` 5x5 convolutions with upsampling."""

    @nn.compact
    def __call__(self, latents):
        """Maps `[N, latent]` to `[N, image_size, image_size, channels]` in [-1, 1]."""
        x = self.start(latents)
        for _ in range(self.stages):
            x = self.prelu_norm(self.convolve(x, x.shape[-1] // 2, 5))
            x = layers.upsample(x)
        return self.end(x)


class Critic(base.Critic):
    """Images to values: 5x5 convolutions with pooling, flatten, dense.

    The norm comes before the PReLU, as published; in the ResNet it comes after it.
    """

    @nn.compact
    def __call__(self, images):
        """Maps each batch separately: `[..., N, H, W, C]` to `[..., N]`."""
        x = layers.images_of(images)
        x = self.norm_prelu(self.convolve(x, self.width, 5))
        for _ in range(self.stages):
            x = self.norm_prelu(self.convolve(x, x.shape[-1] * 2, 5))
            x = layers.downsample(x)
        return self.end(x, images)
