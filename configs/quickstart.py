"""Quickstart.

python -m figr_jax.main --config=configs/quickstart.py
"""

from figr_jax import config as schema


def get_config():
    """A small DCGAN on glyphs."""
    config = schema.default()
    config.networks.update(family="dcgan", width=16, stages=3)
    config.inner.update(
        shots=4, optimizer="adam", learning_rate=1e-3, optimizer_args="b1=0.0"
    )
    config.outer.learning_rate = 3e-4
    config.run.update(meta_steps=600, log_every=10, sample_every=100, save_every=100)
    return config
