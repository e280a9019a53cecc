"""Drawings of anything: characters, glyphs and icons in equal shares.

python -m figr_jax.main --config=configs/sketch.py

Networks and inner loop are those of configs/omniglot_fusion.py. Prepare the data once:
python -m figr_jax.prepare --dataset=mix:omniglot,glyphs,open_icons

Gave the shipped sketch-32, in about half an hour on one CPU core. In equal time an
outer rate of 1e-3 gave better images than 5e-4; 2e-3 did not train
(experiments/results/sweep.jsonl). The sampling settings were chosen on tuning classes
(experiments/results/quality.jsonl).
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with the overrides of this file."""
    config = schema.default()
    config.dataset.update(
        name="mix:omniglot,glyphs,open_icons", split="weak", heldout=100
    )
    config.networks.update(family="fusion", width=16, stages=3)
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
        chosen_on="tuning",
        best_of=2,
    )
    config.outer.update(learning_rate=1e-3, decay=0.5)
    config.run.update(
        meta_steps=7000,
        log_every=10,
        sample_every=500,
        save_every=250,
    )
    return config
