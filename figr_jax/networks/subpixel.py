"""A cheap generator and critic for small models, not from the paper.

The DCGAN's critic widens its channels before it pools, which takes nearly all of the
time of a meta-step. Its generator renders the finest lines by one linear layer. Here
both resize by pixel shuffling (Shi et al. 2016), which turns blocks of pixels into
channels and back, so that all wide convolutions run at a lower resolution. Both have
one narrow layer at full resolution.
"""

from flax import linen as nn

from figr_jax.networks import base, layers


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


class Generator(base.Generator):
    """Latents to images: dense start, 3x3 convolutions with shuffles, tanh."""

    @nn.compact
    def __call__(self, latents):
        """Maps `[N, latent]` to `[N, image_size, image_size, channels]` in [-1, 1]."""
        x = self.start(latents)
        for _ in range(self.stages):
            x = self.prelu_norm(shuffle(self.convolve(x, x.shape[-1] * 2, 3)))
        return self.end(self.prelu_norm(self.convolve(x, self.width, 3)))


class Critic(base.Critic):
    """Images to values: unshuffles and 3x3 convolutions, flatten, dense.

    The norm comes before the PReLU, as in the DCGAN's critic.
    """

    @nn.compact
    def __call__(self, images):
        """Maps each batch separately: `[..., N, H, W, C]` to `[..., N]`."""
        x = layers.images_of(images)
        x = self.norm_prelu(self.convolve(x, self.width, 5))
        for _ in range(self.stages):
            x = self.norm_prelu(self.convolve(unshuffle(x), x.shape[-1] * 2, 3))
        return self.end(x, images)
