"""Emoji in colour, with our fusion networks.

python -m figr_jax.main --config=configs/colour.py

Networks and inner loop are those of configs/omniglot_fusion.py, with 3 channels and the
paper's loss: the relativistic one gave worse images (docs/training.md). Gave the
shipped emoji-32, in half an hour on one CPU core, before networks.low_pass was
added. The sampling settings were chosen on tuning classes
(experiments/results/quality.jsonl). Held-out classes have at least 8 images; a report
needs 9, or 8 if fewer than 20 held-out classes have 9. Prepare the data once:
python -m figr_jax.prepare --dataset=open_icons/colour --channels=3
"""

from figr_jax import config_files


def get_config():
    """Returns configs/sketch.py with other data, loss, rates and length."""
    config = config_files.load("sketch")
    config.dataset.update(name="open_icons/colour", channels=3, split="random:8")
    config.inner.update(loss="wgan_gp", penalty_weight=10.0)
    config.sampling.latent_scale = 1.0
    config.outer.learning_rate = 5e-4
    config.run.meta_steps = 3500
    return config
