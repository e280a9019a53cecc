"""Emoji in colour, with our fusion networks.

python -m figr_jax.main --config=configs/colour.py

Networks and inner loop are those of configs/omniglot_fusion.py, with 3 channels and the
paper's loss; the relativistic one was not compared. Gave the shipped emoji-32, in about
40 minutes on one CPU core. The sampling settings were chosen on tuning classes
(experiments/results/quality.jsonl). Held-out classes have at least 8 images; a report
needs 9, or 8 if fewer than 20 held-out classes have 9. Prepare the data once:
python -m figr_jax.prepare --dataset=open_icons/colour --channels=3
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with the overrides of this file."""
    config = schema.default()
    config.dataset.update(
        name="open_icons/colour", channels=3, split="random:8", heldout=100
    )
    config.networks.update(family="fusion", width=16, stages=3)
    config.inner.update(
        shots=4,
        others=8,
        steps=5,
        loss="wgan_gp",
        penalty_weight=10.0,
        optimizer="adam",
        learning_rate=1e-3,
        optimizer_args="b1=0.0",
    )
    config.sampling.update(
        steps=3,
        critic_steps=2,
        rate=0.3,
        decay_rate=0.8,
        best_of=2,
        chosen_on="tuning",
    )
    config.outer.update(learning_rate=5e-4, decay=0.5)
    config.run.update(
        meta_steps=3500,
        log_every=10,
        sample_every=500,
        save_every=250,
    )
    return config
