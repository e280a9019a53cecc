"""Small subpixel networks on glyphs, in some minutes on two CPU cores.

python -m figr_jax.main --config=configs/quickstart.py

No download. The rates are leads from short runs; experiments/recipe.py measures what
the networks do in a given time, experiments/sampling.py how a trained model had best
adapt, and experiments/results/README.md has both.
"""

from figr_jax import config as schema


def get_config():
    """The defaults, made small and fast."""
    config = schema.default()
    config.networks.update(family="subpixel", width=16, stages=3, minibatch_std=True)
    config.inner.update(
        shots=4, optimizer="adam", learning_rate=1e-3, optimizer_args="b1=0.0"
    )
    config.sampling.update(critic_steps=2, decay_rate=0.8)
    config.outer.update(learning_rate=5e-4, decay=0.5)
    config.run.update(meta_steps=1500, log_every=10, sample_every=250, save_every=250)
    return config
