"""Omniglot with our fusion networks: the best config so far.

python -m figr_jax.main --config=configs/omniglot_fusion.py

Holds out the 150 characters of Boutin et al. (2022). A meta-step has 16 tasks, for a
GPU: about 7 seconds on one CPU core, and less than 0.1 seconds on an H200. On a CPU
use --config.outer.tasks=1 --config.run.meta_steps=5000: that took an hour of one core
and gave the shipped omniglot-32.

The sampling settings were chosen on tuning classes (experiments/results/quality.jsonl).
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with the overrides of this file."""
    config = schema.default()
    config.dataset.update(name="omniglot", split="weak")
    config.networks.update(family="fusion", width=16, stages=3, low_pass=True)
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
        chosen_on="tuning",
    )
    config.outer.update(tasks=16, learning_rate=1e-3, decay=0.5)
    config.run.update(meta_steps=1400, log_every=10, sample_every=200, save_every=100)
    return config
