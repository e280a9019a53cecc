"""Icons under free licences, with the paper's values for FIGR-8.

python -m figr_jax.main --config=configs/open_icons.py

Time and result at this size: not yet measured.
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with the overrides of this file."""
    config = schema.default()
    config.dataset.name = "open_icons"
    config.run.meta_steps = 100_000
    return config
