"""The layers that both families share: convolution, PReLU, normalisation, resizing.

Everything is channels-last (`[batch, height, width, channels]`), stride 1 and zero
padded, as in the paper's networks.
"""

import functools

import jax
from flax import linen as nn
from jax import lax
from jax import numpy as jnp

LOWERINGS = ("auto", "xla", "patches")


def uniform_fan_in(fan_in):
    """PyTorch's default initialisation: uniform in +-1/sqrt(fan_in).

    Args:
      fan_in: number of inputs that one output value sees.

    Returns:
      A linen initialiser, for weights and biases alike.
    """
    bound = fan_in**-0.5

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def _xla_convolve(x, kernel):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _patches(x, size):
    """Neighbourhoods `[N, H, W, size * size * C]`: zero-padded shifted slices."""
    pad = size // 2
    height, width = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    # First along one axis, then along the other: 2 * size slices, not size squared,
    # which halves the time to compile.
    x = jnp.concatenate([x[:, :, j : j + width] for j in range(size)], axis=-1)
    return jnp.concatenate([x[:, i : i + height] for i in range(size)], axis=-1)


def _patches_convolve(x, kernel):
    size, _, features_in, features = kernel.shape
    return _patches(x, size) @ kernel.reshape(size * size * features_in, features)


def _xla_correlate(x, y, size):
    # The batch takes the place of the channels: a convolution in the canonical layout.
    out = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        y.transpose(1, 2, 0, 3),
        (1, 1),
        [(size // 2, size // 2)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out.transpose(1, 2, 0, 3)


def _patches_correlate(x, y, size):
    columns = _patches(x, size).reshape(-1, size * size * x.shape[-1])
    product = columns.T @ y.reshape(-1, y.shape[-1])
    return product.reshape(size, size, x.shape[-1], y.shape[-1])


def _flip(kernel):
    """The kernel of the transposed convolution: turned by 180 degrees, in <-> out."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


# `convolve` is bilinear in (x, kernel) and `correlate`, its derivative in the kernel,
# is bilinear in (x, y). The derivatives of each are again these two, so the pair is
# closed under differentiation, and every pass runs in the chosen lowering. Plain
# autodiff of lax.conv_general_dilated makes convolutions in other layouts, for which
# XLA's CPU back end has only a naive loop inside lax.scan (jax-ml/jax #12868).


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x, kernel, lowering):
    """Convolution with zero padding and stride 1, differentiable to any order.

    Args:
      x: `[N, H, W, I]` images.
      kernel: `[size, size, I, O]`, size odd.
      lowering: "xla" or "patches": the same value, another program.

    Returns:
      `[N, H, W, O]`.
    """
    return (_xla_convolve if lowering == "xla" else _patches_convolve)(x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def correlate(x, y, size, lowering):
    """The derivative of `sum(y * convolve(x, kernel))` in the kernel.

    Args:
      x: `[N, H, W, I]`.
      y: `[N, H, W, O]`.
      size: height and width of the kernel, odd.
      lowering: "xla" or "patches".

    Returns:
      `[size, size, I, O]`.
    """
    return (_xla_correlate if lowering == "xla" else _patches_correlate)(x, y, size)


def _convolve_forward(x, kernel, lowering):
    return convolve(x, kernel, lowering), (x, kernel)


def _convolve_backward(lowering, residuals, y):
    x, kernel = residuals
    return (
        convolve(y, _flip(kernel), lowering),
        correlate(x, y, kernel.shape[0], lowering),
    )


def _correlate_forward(x, y, size, lowering):
    return correlate(x, y, size, lowering), (x, y)


def _correlate_backward(size, lowering, residuals, kernel):
    x, y = residuals
    return convolve(y, _flip(kernel), lowering), convolve(x, kernel, lowering)


convolve.defvjp(_convolve_forward, _convolve_backward)
correlate.defvjp(_correlate_forward, _correlate_backward)


def resolve_lowering(lowering, height):
    """The lowering that "auto" stands for, on the default backend.

    Measured on two CPU cores (a meta-step of width 16, 32x32): patches up to 4x4, where
    XLA's convolution has too little work a row, and XLA's above, where patches move too
    much memory: together 1.0 to 1.7 times as fast as either alone. Accelerators have
    tuned convolutions.

    Args:
      lowering: one of `LOWERINGS`.
      height: of the images, pixels.

    Returns:
      "xla" or "patches".
    """
    if lowering != "auto":
        return lowering
    return "patches" if jax.default_backend() == "cpu" and height <= 4 else "xla"


class Convolution(nn.Module):
    """Convolution with bias, zero padding, stride 1.

    Attributes:
      features: channels of the output.
      size: height and width of the kernel, odd.
      lowering: one of `LOWERINGS`.
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
        return convolve(x, kernel, resolve_lowering(self.lowering, x.shape[1])) + bias


class Dense(nn.Module):
    """Affine map.

    Attributes:
      features: number of outputs.
    """

    features: int

    @nn.compact
    def __call__(self, x):
        """Maps `[N, I]` to `[N, features]`."""
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


def layer_norm(x):
    """Normalisation over all values of one example, an affine pair for each value.

    To be called inside a linen `compact` method.

    Args:
      x: `[N, ...]`.

    Returns:
      The same shape.
    """
    axes = tuple(range(1, x.ndim))
    # The fast variance, E[x^2] - E[x]^2, loses the digits that parity is held to.
    return nn.LayerNorm(
        epsilon=1e-5,
        reduction_axes=axes,
        feature_axes=axes,
        use_fast_variance=False,
    )(x)


class ResidualBlock(nn.Module):
    """Twice (3x3 convolution, PReLU, layer norm), plus the input.

    Attributes:
      lowering: one of `LOWERINGS`.
    """

    lowering: str = "auto"

    @nn.compact
    def __call__(self, x):
        """Maps `[N, H, W, C]` to the same shape."""
        y = x
        for _ in range(2):
            y = Convolution(x.shape[-1], 3, self.lowering)(y)
            y = layer_norm(PReLU()(y))
        return x + y


def upsample(x):
    """Nearest-neighbour upsampling: `[N, H, W, C]` to `[N, 2H, 2W, C]`."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def downsample(x):
    """2x2 average pooling: `[N, H, W, C]` to `[N, H/2, W/2, C]`."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def start(latents, image_size, width, stages):
    """The generators' common start, to be called inside a linen `compact` method.

    Args:
      latents: `[N, latent]`.
      image_size: height and width of the final image, pixels.
      width: channels after the last stage.
      stages: number of upsamplings.

    Returns:
      `[N, image_size / 2**stages, image_size / 2**stages, width * 2**stages]`.
    """
    side, channels = image_size >> stages, width << stages
    x = Dense(side * side * channels)(latents)
    x = layer_norm(PReLU()(x))
    return x.reshape(-1, side, side, channels)
