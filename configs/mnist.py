"""MNIST: digits 0 to 8, new nines (table 1 and figure 3 of the paper).

python -m figr_jax.main --config=configs/mnist.py

50,000 meta-steps, as in figure 3. Time and result at this size: not yet measured.
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with the overrides of this file."""
    config = schema.default()
    config.dataset.update(name="mnist", split="classes:9")
    config.inner.shots = 4
    config.run.meta_steps = 50_000
    return config
