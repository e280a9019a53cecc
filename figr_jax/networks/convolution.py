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
_SMALL_KERNEL = 3


def _use_patches(lowering, on_cpu=True):
    """Whether a lowering stands for patches; `on_cpu` answers for "auto" on the CPU.

    Measured on two CPU cores (experiments/speed/NOTES.md): patches for `correlate` at
    every height, for the other two up to `_SMALL_IMAGE`, where XLA's convolution has
    too little work a row. Accelerators have tuned convolutions.
    """
    if lowering == "auto":
        return on_cpu and jax.default_backend() == "cpu"
    return lowering == "patches"


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x, kernel, lowering):
    """The convolution.

    Args:
      x: `[N, H, W, I]` images.
      kernel: `[size, size, I, O]`, size odd.
      lowering: one of `LOWERINGS`: the same value, another program.

    Returns:
      `[N, H, W, O]`.
    """
    patches = _use_patches(lowering, x.shape[1] <= _SMALL_IMAGE)
    return (_patches_convolve if patches else _xla_convolve)(x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def transpose(y, kernel, lowering):
    """The derivative of `sum(y * convolve(x, kernel))` in x.

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
    """The derivative of `sum(y * convolve(x, kernel))` in the kernel.

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
# the input plus a shift of the output: for a small kernel the output alone is shifted
# (the input stays as it is, and the product has size squared times O columns), for a
# larger one the input along W and the output along H, so that a patch is only `size`
# times as large as its pixel.


def _shift(x, down, right):
    """x[n, h + down, w + right, c], zero outside."""
    edges = (0, 0, 0), (-down, down, 0), (-right, right, 0), (0, 0, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def _shifts(size):
    """Shifts (down, right) of the input and of the output that make a kernel's."""
    line = range(-(size // 2), size // 2 + 1)
    if size <= _SMALL_KERNEL:
        return [(0, 0)], [(i, j) for i in line for j in line]
    return [(0, j) for j in line], [(i, 0) for i in line]


def _gather(x, shifts):
    """`[N, H, W, C]` to `[N, H, W, len(shifts) * C]`: patches, one part a shift."""
    if len(shifts) == 1:
        return x
    return jnp.concatenate([_shift(x, i, j) for i, j in shifts], axis=-1)


def _scatter(patches, shifts):
    """`[N, H, W, len(shifts) * C]` to `[N, H, W, C]`: each part shifted, their sum."""
    if len(shifts) == 1:
        return patches
    # XLA would fuse the product into the sum, and lose the fast product.
    parts = jnp.split(lax.optimization_barrier(patches), len(shifts), axis=-1)
    return sum(_shift(part, i, j) for part, (i, j) in zip(parts, shifts, strict=True))


def _negative(shifts):
    """The shifts of the adjoint."""
    return [(-i, -j) for i, j in shifts]


def _axes(size):
    """The order of a kernel's axes as a matrix, from patches of x to those of y."""
    return (2, 0, 1, 3) if size <= _SMALL_KERNEL else (1, 2, 0, 3)


def _matrix(kernel):
    size, _, features_in, features = kernel.shape
    inputs, outputs = _shifts(size)
    shape = (len(inputs) * features_in, len(outputs) * features)
    return kernel.transpose(_axes(size)).reshape(shape)


def _patches_convolve(x, kernel):
    inputs, outputs = _shifts(kernel.shape[0])
    return _scatter(_gather(x, inputs) @ _matrix(kernel), outputs)


def _patches_transpose(y, kernel):
    inputs, outputs = _shifts(kernel.shape[0])
    patches = _gather(y, _negative(outputs))
    product = lax.dot_general(patches, _matrix(kernel), (((3,), (1,)), ((), ())))
    return _scatter(product, _negative(inputs))


def _patches_correlate(x, y, size):
    inputs, outputs = _shifts(size)
    rows = _gather(x, inputs).reshape(-1, len(inputs) * x.shape[-1])
    columns = _gather(y, _negative(outputs)).reshape(-1, len(outputs) * y.shape[-1])
    sizes = {0: size, 1: size, 2: x.shape[-1], 3: y.shape[-1]}
    product = (rows.T @ columns).reshape([sizes[axis] for axis in _axes(size)])
    return product.transpose([_axes(size).index(axis) for axis in range(4)])
