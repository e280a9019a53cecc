"""The paper's residual generator and critic (section 5.1)."""

from flax import linen as nn

from figr_jax.networks import base, layers


class Generator(base.Generator):
    """Latents to images: dense start, `stages` residual stages, 5x5 convolution."""

    @nn.compact
    def __call__(self, latents):
        """Maps `[N, latent]` to `[N, image_size, image_size, channels]` in [-1, 1]."""
        x = self.start(latents)
        for _ in range(self.stages):
            x = layers.ResidualBlock(self.convolution, self.layer_norm)(x)
            x = layers.ResidualBlock(self.convolution, self.layer_norm)(x)
            x = self.prelu_norm(self.convolve(x, x.shape[-1] // 2, 3))
            x = layers.upsample(x)
        return self.end(x)


class Critic(base.Critic):
    """Images to values: 7x7 convolution, residual stages with pooling, mean, dense."""

    @nn.compact
    def __call__(self, images):
        """Maps each batch separately: `[..., N, H, W, C]` to `[..., N]`."""
        x = layers.images_of(images)
        x = self.prelu_norm(self.convolve(x, self.width, 7))
        for _ in range(self.stages):
            x = layers.ResidualBlock(self.convolution, self.layer_norm)(x)
            x = layers.ResidualBlock(self.convolution, self.layer_norm)(x)
            x = self.prelu_norm(self.convolve(x, x.shape[-1] * 2, 3))
            x = layers.downsample(x)
        return self.end(x.mean((1, 2)), images)
