"""Omniglot, 32x32 (table 1 and figures 4 and 5 of the paper).

python -m figr_jax.main --config=configs/omniglot.py

230,000 meta-steps, as in figure 5; figure 4 shows 140,000. As in the paper, 20
characters are held out. --config.dataset.split=alphabets holds out Omniglot's own
evaluation set instead, --config.dataset.split=weak 150 characters, for comparison with
Boutin et al. (2022). Time and result at this size: not yet measured.
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with the overrides of this file."""
    config = schema.default()
    config.dataset.update(name="omniglot", heldout=20)
    config.inner.shots = 4
    config.run.meta_steps = 230_000
    return config
