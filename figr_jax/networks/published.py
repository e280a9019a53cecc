"""Weights of the code published with the paper, as parameters of these networks.

State dicts here are dictionaries of numpy arrays: channels-first, `[out, in, ...]`.
"""

from typing import NamedTuple

import jax
import numpy as np

from figr_jax.networks import GanParams, build


class Architecture(NamedTuple):
    """The networks of a published checkpoint, as its shapes show them."""

    family: str
    width: int
    stages: int
    latent: int
    image_size: int
    channels: int


def find_architecture(generator, critic):
    """Reads the architecture off the shapes of two state dicts.

    Raises:
      KeyError: if a parameter that every published network has is missing.
    """
    channels, width = generator["final_conv.weight"].shape[:2]
    family = "resnet" if "convs1.0.weight" in generator else "dcgan"
    prefix = "convs1." if family == "resnet" else "convs."
    stages = sum(k.startswith(prefix) and k.endswith(".weight") for k in generator)
    latent = generator["initial_linear.weight"].shape[1]
    image_size = critic["initial_norm.weight"].shape[-1]
    return Architecture(family, width, stages, latent, image_size, channels)


def _convolution(state, name):
    kernel = state[f"{name}.weight"].transpose(2, 3, 1, 0)
    return {"kernel": kernel, "bias": state[f"{name}.bias"]}


def _norm(state, name):
    return {
        "scale": state[f"{name}.weight"].transpose(1, 2, 0),
        "bias": state[f"{name}.bias"].transpose(1, 2, 0),
    }


def _prelu(state, name):
    return {"slope": state[f"{name}.weight"]}


def _dense(state, name):
    return {"kernel": state[f"{name}.weight"].T, "bias": state[f"{name}.bias"]}


def _channels_last(values, side):
    """Reorders a flattened leading axis from `C, side, side` to `side, side, C`."""
    x = values.reshape(-1, side, side, *values.shape[1:])
    return np.moveaxis(x, 0, 2).reshape(values.shape)


def _layer(state, names, convolution, index):
    """Converts a convolution, its norm and PReLU, numbered as in a flax module."""
    conv, norm, activ = names
    return {
        f"Convolution_{convolution}": _convolution(state, conv),
        f"LayerNorm_{index}": _norm(state, norm),
        f"PReLU_{index}": _prelu(state, activ),
    }


def _block(state, stage, first):
    """Converts a residual block: layers `first` and `first + 1` of a stage."""
    params = {}
    for k in range(2):
        kinds = ("convs", "norm", "activ")
        names = [f"{kind}{first + k}.{stage}" for kind in kinds]
        params |= _layer(state, names, k, k)
    return params


def _stages(state, architecture, first_convolution):
    """Converts the stages of either network."""
    params = {}
    for i in range(architecture.stages):
        if architecture.family == "resnet":
            params[f"ResidualBlock_{2 * i}"] = _block(state, i, 1)
            params[f"ResidualBlock_{2 * i + 1}"] = _block(state, i, 3)
            names = [f"transitions_{kind}.{i}" for kind in ("conv", "norm", "activ")]
        else:
            names = [f"{kind}.{i}" for kind in ("convs", "norm", "activ")]
        params |= _layer(state, names, i + first_convolution, i + 1)
    return params


def _generator(state, architecture):
    side = architecture.image_size >> architecture.stages
    start = {
        name: _channels_last(state[name], side)
        for name in state
        if name.startswith("initial_")
    }
    return {
        "Dense_0": _dense(start, "initial_linear"),
        "PReLU_0": _prelu(start, "initial_activ"),
        "LayerNorm_0": {
            "scale": start["initial_norm.weight"],
            "bias": start["initial_norm.bias"],
        },
        **_stages(state, architecture, first_convolution=0),
        f"Convolution_{architecture.stages}": _convolution(state, "final_conv"),
    }


def _critic(state, architecture):
    dense = _dense(state, "final_linear")
    if architecture.family == "dcgan":  # the ResNet has pooled its image away
        side = architecture.image_size >> architecture.stages
        dense["kernel"] = _channels_last(dense["kernel"], side)
    names = ["initial_conv", "initial_norm", "initial_activ"]
    return {
        **_layer(state, names, 0, 0),
        **_stages(state, architecture, first_convolution=1),
        "Dense_0": dense,
    }


def to_params(generator, critic):
    """Converts two state dicts of the published code.

    Args:
      generator: dict of arrays, keys as in the published generators.
      critic: dict of arrays, keys as in the published discriminators.

    Returns:
      `GanParams` of numpy arrays, and their `Architecture`.

    Raises:
      KeyError: if a parameter is missing.
      ValueError: if there are unknown parameters, or one has a wrong shape.
    """
    architecture = find_architecture(generator, critic)
    params = GanParams(
        _generator(generator, architecture), _critic(critic, architecture)
    )
    _check_shapes(params, architecture, len(generator) + len(critic))
    return params, architecture


def _check_shapes(params, architecture, count):
    init = build(**architecture._asdict()).init
    expected = jax.tree.leaves_with_path(jax.eval_shape(init, jax.random.key(0)))
    if count != len(expected):
        raise ValueError(f"{count} parameters, must be {len(expected)}")
    for (path, leaf), ours in zip(expected, jax.tree.leaves(params), strict=True):
        if leaf.shape != ours.shape:
            name = jax.tree_util.keystr(path)
            raise ValueError(f"{name} of shape {ours.shape}, must be {leaf.shape}")
