"""Drawings of anything at 64x64 pixels.

python -m figr_jax.main --config=configs/sketch64.py

Data, inner loop and sampling settings are those of configs/sketch.py. The networks have
one stage more and half the width, so their layers at 32x32 pixels and below have the
sizes of sketch-32, and only narrow layers work at full resolution. A meta-step takes
2.8 times as long as at 32x32. Gave the shipped sketch-64, in about an hour on one CPU
core.
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with the overrides of this file."""
    config = schema.default()
    config.dataset.update(
        name="mix:omniglot,glyphs,open_icons",
        split="weak",
        heldout=100,
        image_size=64,
    )
    config.networks.update(family="fusion", width=8, stages=4)
    config.inner.update(
        shots=4,
        others=8,
        steps=5,
        loss="relativistic",
        penalty_weight=1.0,
        optimizer="adam",
        learning_rate=1e-3,
        optimizer_args="b1=0.0",
    )
    config.sampling.update(
        steps=3,
        critic_steps=2,
        rate=0.3,
        decay_rate=0.8,
        latent_scale=1.6,
        best_of=2,
    )
    config.outer.update(learning_rate=1e-3, decay=0.5)
    config.run.update(
        meta_steps=5000,
        log_every=10,
        sample_every=500,
        save_every=250,
    )
    return config
