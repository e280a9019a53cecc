"""Conv4-64, the network of the embeddings that images are compared by.

In metrics (`evaluation.embedding`), and in the check of a support (`kinds`). With 256
features, as in Boutin et al. (2022, appendix). It sees images at 50x50, grey
ones binarised at 0.5.
"""

import json
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from flax import traverse_util
from jax import numpy as jnp

from figr_jax.common import files
from figr_jax.common.errors import say

SIZE = 50  # height and width that the network sees, pixels
FEATURES = 256
_AT_ONCE = 32  # images that are embedded; 256 took 1.9 times as long, on two CPU cores


class Conv4(nn.Module):
    """Four times (3x3 convolution, batch norm, ReLU, 2x2 max pooling), then dense."""

    @nn.compact
    def __call__(self, x, train):
        """Maps `[N, SIZE, SIZE, C]` to `[N, FEATURES]`."""
        for _ in range(4):
            x = nn.Conv(64, (3, 3))(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=0.95)(x)
            x = _pool(nn.relu(x))
        return nn.Dense(FEATURES)(x.reshape(len(x), -1))


def _pool(x):
    """2x2 max pooling; the derivative of `nn.max_pool` is slow on the CPU."""
    n, height, width, channels = x.shape
    height, width = height // 2, width // 2
    x = x[:, : 2 * height, : 2 * width]
    return x.reshape(n, height, 2, width, 2, channels).max((2, 4))


def prepare(images):
    """Converts images for the network: uint8 to `[N, SIZE, SIZE, C]` in [0, 1]."""
    n, _, _, channels = images.shape
    x = images.astype(jnp.float32) / 255
    x = jax.image.resize(x, (n, SIZE, SIZE, channels), "linear")
    return (x > 0.5).astype(jnp.float32) if channels == 1 else x


class Embedding(NamedTuple):
    """A trained network.

    Attributes:
      variables: of `Conv4`.
      record: what it is: kind, seed, steps; of the prototypical one its accuracy on
        held-out classes; of that of `kinds` its threshold.
    """

    variables: Any
    record: dict

    def __call__(self, images):
        """Features of images: `[n, H, W, C]` uint8 to `[n, FEATURES]` float32."""
        features = []
        for first in range(0, len(images), _AT_ONCE):
            some = np.asarray(images[first : first + _AT_ONCE])
            short = _AT_ONCE - len(some)
            padded = np.concatenate([some, np.repeat(some[:1], short, 0)])
            features.append(np.asarray(_embed(self.variables, padded))[: len(some)])
        return np.concatenate(features or [np.zeros((0, FEATURES), np.float32)])

    def of_sets(self, sets):
        """Features of each of several sets of images, batched together."""
        ends = np.cumsum([len(x) for x in sets])[:-1]
        return np.split(self(np.concatenate(sets)), ends)


@jax.jit
def _embed(variables, images):
    return Conv4().apply(variables, prepare(images), train=False)


def write(path, embedding, dtype=np.float32):
    """Writes an embedding as one .npz, its arrays in `dtype`."""
    flat = traverse_util.flatten_dict(embedding.variables, sep="/")
    arrays = jax.tree.map(lambda x: np.asarray(x, dtype), flat)
    files.write_arrays(path, {"record": json.dumps(embedding.record), **arrays})


def read(path):
    """Reads an `Embedding`; None if there is no intact one."""
    if not path.exists():
        return None
    try:
        with np.load(path) as stored:
            record = json.loads(str(stored["record"]))
            names = set(stored.files) - {"record"}
            arrays = {name: np.float32(stored[name]) for name in names}
    except Exception as error:  # a damaged archive raises many kinds
        say(f"{path}: damaged ({error}); ignored")
        return None
    return Embedding(traverse_util.unflatten_dict(arrays, sep="/"), record)
