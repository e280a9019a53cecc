"""Omniglot, 64x64 (table 1 and figure 6 of the paper).

python -m figr_jax.main --config=configs/omniglot64.py

150,000 meta-steps, as in figure 6. Time and result at this size: not yet measured.
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with the overrides of this file."""
    config = schema.default()
    config.dataset.update(name="omniglot", image_size=64, heldout=20)
    config.run.meta_steps = 150_000
    return config
