"""The layers that the families share: convolution, PReLU, normalization, resizing.

Everything is channels-last (`[batch, height, width, channels]`), stride 1 and zero
padded, as in the paper's networks.
"""

import jax
from flax import linen as nn
from jax import numpy as jnp

from figr_jax.networks import convolution
from figr_jax.networks.layer_norm import LayerNorm


def uniform_fan_in(fan_in):
    """Builds PyTorch's default initializer: uniform in +-1/sqrt(fan_in).

    Args:
      fan_in: number of inputs that one output value sees.

    Returns:
      A linen initializer, for weights and biases alike.
    """
    bound = fan_in**-0.5

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Convolution(nn.Module):
    """Convolution with bias, zero padding, stride 1.

    Attributes:
      features: channels of the output.
      size: height and width of the kernel, odd.
      lowering: one of `convolution.LOWERINGS`.
    """

    features: int
    size: int
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x):
        """Maps `[N, H, W, I]` to `[N, H, W, features]`."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        init = uniform_fan_in(self.size * self.size * x.shape[-1])
        kernel = self.param("kernel", init, shape)
        bias = self.param("bias", init, (self.features,))
        return convolution.convolve(x, kernel, self.lowering) + bias


class Dense(nn.Module):
    """Affine map.

    Attributes:
      features: number of outputs.
    """

    features: int

    @nn.compact
    def __call__(self, x):
        """Maps `[..., I]` to `[..., features]`."""
        init = uniform_fan_in(x.shape[-1])
        kernel = self.param("kernel", init, (x.shape[-1], self.features))
        bias = self.param("bias", init, (self.features,))
        return x @ kernel + bias


class PReLU(nn.Module):
    """`max(x, 0) + slope * min(x, 0)`, a learned slope per feature, at first 0.25."""

    @nn.compact
    def __call__(self, x):
        """Maps `[..., features]` to the same shape."""
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        return jnp.where(x > 0, x, slope * x)


def images_of(batches):
    """Flattens one or more batches: `[..., H, W, C]` to `[N, H, W, C]`."""
    return batches.reshape(-1, *batches.shape[-3:])


class ResidualBlock(nn.Module):
    """Two layers of 3x3 convolution, PReLU and layer norm, plus the input.

    Attributes:
      lowering: one of `convolution.LOWERINGS`.
      layer_norm: False leaves the norms out.
    """

    lowering: str = "auto"
    layer_norm: bool = True

    @nn.compact
    def __call__(self, x):
        """Maps `[N, H, W, C]` to the same shape."""
        y = x
        for _ in range(2):
            y = Convolution(x.shape[-1], 3, self.lowering)(y)
            y = LayerNorm(self.layer_norm)(PReLU()(y))
        return x + y


def upsample(x):
    """Upsamples by nearest neighbour: `[N, H, W, C]` to `[N, 2H, 2W, C]`."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def downsample(x):
    """Averages blocks of 2x2 pixels: `[N, H, W, C]` to `[N, H/2, W/2, C]`."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def low_pass(x):
    """Smooths `[N, H, W, C]` by the binomial filter [1, 2, 1] / 4 along H and W.

    Border pixels are repeated outside, so a constant stays constant. StyleGAN
    filters upsampled features in the same way (Karras et al. 2019, section 2).
    """
    x = jnp.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    x = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
    return (x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]) / 16
