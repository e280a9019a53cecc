"""Small subpixel networks on glyphs: FIGR with a faster generator and critic.

python -m figr_jax.main --config=configs/subpixel.py

The generator does not see the support, as in the paper. This was the quickstart before
the family `fusion`; experiments/speed/time_to_quality.py compares them.
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with small, fast networks."""
    config = schema.default()
    config.networks.update(family="subpixel", width=16, stages=3, minibatch_std=True)
    config.inner.update(
        shots=4, optimizer="adam", learning_rate=1e-3, optimizer_args="b1=0.0"
    )
    config.sampling.update(critic_steps=2, decay_rate=0.8)
    config.outer.update(learning_rate=5e-4, decay=0.5)
    config.run.update(meta_steps=1500, log_every=10, sample_every=250, save_every=250)
    return config
