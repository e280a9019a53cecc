import os

import jax
import jax.numpy as jnp
import pytest
from absl import flags

# Four virtual devices would do no harm, but nothing here needs more than one.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from figr_jax import networks  # noqa: E402

flags.FLAGS.mark_as_parsed()
jax.config.update("jax_numpy_dtype_promotion", "strict")


def shrunk(family="dcgan", **overrides):
    sizes = dict(image_size=8, channels=1, width=4, stages=2, latent=5)
    return networks.build(family, **(sizes | overrides))


@pytest.fixture(scope="session")
def tiny():
    """A tiny DCGAN and its initial parameters."""
    nets = shrunk()
    return nets, nets.init(jax.random.key(0))


@pytest.fixture(scope="session")
def support():
    """A random support of 3 images for the tiny networks."""
    return jax.random.uniform(jax.random.key(9), (3, 8, 8, 1), jnp.float32, -1, 1)
