"""Fusion networks on glyphs, in about two minutes on two CPU cores.

python -m figr_jax.main --config=configs/quickstart.py

Needs no download. Networks, loss and inner optimizer are those of
configs/omniglot_fusion.py. Three inner steps in meta-training give clean images soonest
(experiments/results/sweep.jsonl).
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with small, fast networks."""
    config = schema.default()
    config.dataset.heldout = 100  # half of them for reports
    config.networks.update(family="fusion", width=16, stages=3, low_pass=True)
    config.inner.update(
        shots=4,
        others=8,
        steps=3,
        loss="relativistic",
        penalty_weight=1.0,
        optimizer="adam",
        learning_rate=1e-3,
        optimizer_args="b1=0.0",
    )
    config.sampling.update(
        steps=3,
        critic_steps=2,
        rate=0.1,
        decay_rate=0.8,
        latent_scale=1.3,
        chosen_on="tuning",
    )
    config.outer.update(learning_rate=5e-4, decay=0.5)
    config.run.update(meta_steps=620, log_every=10, sample_every=620, save_every=310)
    return config
