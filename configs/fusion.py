"""Fusion networks on Omniglot, split `weak`.

python -m figr_jax.main --config=configs/fusion.py
"""

from figr_jax import config as schema


def get_config():
    """The defaults, with what differs."""
    config = schema.default()
    config.dataset.update(name="omniglot", split="weak")
    config.networks.update(family="fusion", width=16, stages=3)
    config.inner.update(
        shots=4, others=8, optimizer="adam", learning_rate=1e-3, optimizer_args="b1=0.0"
    )
    config.sampling.update(critic_steps=2, decay_rate=0.8)
    config.outer.update(learning_rate=5e-4, decay=0.5)
    config.run.update(meta_steps=3000, log_every=10, sample_every=1000, save_every=250)
    return config
