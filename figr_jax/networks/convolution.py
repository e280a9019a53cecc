"""Convolution, differentiable to any order, in more than one lowering.

Zero padding, stride 1, an odd square kernel, channels last. The value
`sum(y * convolve(x, kernel))` is linear in each of x, kernel and y; the three functions
here are its derivatives in y, x and kernel. So the derivatives of each are the other
two, and every pass of every order runs in the chosen lowering. Plain autodiff of
`lax.conv_general_dilated` makes convolutions in other layouts, for which XLA's CPU back
end has only a naive loop inside `lax.scan` (jax-ml/jax #12868).
"""

import functools

import jax
from jax import lax
from jax import numpy as jnp

LOWERINGS = ("auto", "xla", "patches")
_SMALL_IMAGE = 4  # height, pixels


def _use_patches(lowering, small=True):
    """Returns whether to use patches; `small` decides for "auto" on the CPU.

    The choice was measured. On two CPU cores (experiments/speed/NOTES.md), patches win
    for `correlate` at every height, and for the other two up to `_SMALL_IMAGE`, where
    XLA's convolution has too little work per row. On one H200 without autotuning
    (docs/performance.md), patches are 19 times as fast for one task of the paper's
    ResNet, and 11 times for 16 parallel tasks, which are grouped convolutions in XLA.
    """
    if lowering == "auto":
        return small or jax.default_backend() != "cpu"
    return lowering == "patches"


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x, kernel, lowering):
    """Convolves images with a kernel.

    Args:
      x: `[N, H, W, I]` images.
      kernel: `[size, size, I, O]`, size odd.
      lowering: one of `LOWERINGS`, programs for the same value.

    Returns:
      `[N, H, W, O]`.
    """
    patches = _use_patches(lowering, x.shape[1] <= _SMALL_IMAGE)
    return (_patches_convolve if patches else _xla_convolve)(x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def transpose(y, kernel, lowering):
    """Computes the derivative of `sum(y * convolve(x, kernel))` in x.

    Args:
      y: `[N, H, W, O]`.
      kernel: `[size, size, I, O]`, size odd.
      lowering: one of `LOWERINGS`.

    Returns:
      `[N, H, W, I]`.
    """
    patches = _use_patches(lowering, y.shape[1] <= _SMALL_IMAGE)
    return (_patches_transpose if patches else _xla_transpose)(y, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def correlate(x, y, size, lowering):
    """Computes the derivative of `sum(y * convolve(x, kernel))` in the kernel.

    Args:
      x: `[N, H, W, I]`.
      y: `[N, H, W, O]`.
      size: height and width of the kernel, odd.
      lowering: one of `LOWERINGS`.

    Returns:
      `[size, size, I, O]`.
    """
    patches = _use_patches(lowering)
    return (_patches_correlate if patches else _xla_correlate)(x, y, size)


def _convolve_forward(x, kernel, lowering):
    return convolve(x, kernel, lowering), (x, kernel)


def _convolve_backward(lowering, residuals, y):
    x, kernel = residuals
    return (
        transpose(y, kernel, lowering),
        correlate(x, y, kernel.shape[0], lowering),
    )


def _transpose_forward(y, kernel, lowering):
    return transpose(y, kernel, lowering), (y, kernel)


def _transpose_backward(lowering, residuals, x):
    y, kernel = residuals
    return (
        convolve(x, kernel, lowering),
        correlate(x, y, kernel.shape[0], lowering),
    )


def _correlate_forward(x, y, size, lowering):
    return correlate(x, y, size, lowering), (x, y)


def _correlate_backward(size, lowering, residuals, kernel):
    x, y = residuals
    return transpose(y, kernel, lowering), convolve(x, kernel, lowering)


convolve.defvjp(_convolve_forward, _convolve_backward)
transpose.defvjp(_transpose_forward, _transpose_backward)
correlate.defvjp(_correlate_forward, _correlate_backward)


# "xla": all three as convolutions in the canonical layout.


def _xla_convolve(x, kernel):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _xla_transpose(y, kernel):
    return _xla_convolve(y, kernel[::-1, ::-1].swapaxes(2, 3))


def _xla_correlate(x, y, size):
    # The batch takes the place of the channels.
    out = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        y.transpose(1, 2, 0, 3),
        (1, 1),
        [(size // 2, size // 2)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out.transpose(1, 2, 0, 3)


# "patches": all three as one matrix product. Each offset of the kernel is a shift of
# the input along W plus a shift of the output along H, so that a patch is only `size`
# times as large as its pixel.


def _offsets(size):
    return range(-(size // 2), size // 2 + 1)


def _negative(offsets):
    """Returns the offsets of the adjoint."""
    return [-offset for offset in offsets]


def _shift(x, offset, axis):
    """Shifts an array by `offset` pixels along an axis; zero outside."""
    edges = [(0, 0, 0)] * 4
    edges[axis] = (-offset, offset, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


# The barriers keep XLA from computing the array again for each shift.


def _gather(x, offsets, axis):
    """Gathers patches: `[N, H, W, C]` to `[N, H, W, len(offsets) * C]`."""
    x = lax.optimization_barrier(x)
    return jnp.concatenate([_shift(x, offset, axis) for offset in offsets], axis=-1)


def _scatter(patches, offsets, axis):
    """Sums shifted parts: `[N, H, W, len(offsets) * C]` to `[N, H, W, C]`."""
    parts = jnp.split(patches, len(offsets), axis=-1)
    shifted = zip(parts, offsets, strict=True)
    return lax.optimization_barrier(
        sum(_shift(part, offset, axis) for part, offset in shifted)
    )


def _matrix(kernel):
    """Reshapes `[H, W, I, O]` to `[W * I, H * O]`: patches of x to patches of y."""
    size, _, features_in, features = kernel.shape
    return kernel.transpose(1, 2, 0, 3).reshape(size * features_in, size * features)


def _patches_convolve(x, kernel):
    offsets = _offsets(kernel.shape[0])
    return _scatter(_gather(x, offsets, 2) @ _matrix(kernel), offsets, 1)


def _patches_transpose(y, kernel):
    offsets = _negative(_offsets(kernel.shape[0]))
    patches = _gather(y, offsets, 1)
    product = lax.dot_general(patches, _matrix(kernel), (((3,), (1,)), ((), ())))
    return _scatter(product, offsets, 2)


def _patches_correlate(x, y, size):
    offsets = _offsets(size)
    rows = _gather(x, offsets, 2).reshape(-1, size * x.shape[-1])
    columns = _gather(y, _negative(offsets), 1).reshape(-1, size * y.shape[-1])
    product = (rows.T @ columns).reshape(size, x.shape[-1], size, y.shape[-1])
    return product.transpose(2, 0, 1, 3)
