"""FIGR-8 (table 1 and figures 7 to 9 of the paper).

python -m figr_jax.main --config=configs/figr8.py

100,000 meta-steps, as in figure 9. Time and result at this size: not yet measured.
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with the overrides of this file."""
    config = schema.default()
    config.dataset.name = "figr8"
    config.run.meta_steps = 100_000
    return config
