"""Drawings of anything at 64x64 pixels.

python -m figr_jax.main --config=configs/sketch64.py

Data and inner loop are those of configs/sketch.py. The networks have one stage more and
half the width, so their layers at 32x32 pixels and below have the sizes of sketch-32,
and only narrow layers work at full resolution. A meta-step takes 2.7 times as long as
at 32x32. The sampling settings were chosen on tuning classes of Omniglot: images are
farther from the support than with those of configs/sketch.py
(experiments/results/quality.jsonl). Two runs on one CPU core, of 1.5 and 1.0 hours,
gave the shipped sketch-64 before networks.low_pass was added; the second run started
from the weights of the first (--config.run.init_from).
"""

from figr_jax import config_files


def get_config():
    """Returns configs/sketch.py at 64x64 pixels."""
    config = config_files.load("sketch")
    config.dataset.image_size = 64
    config.networks.update(width=8, stages=4)
    config.sampling.update(rate=0.1, latent_scale=1.8)
    config.run.meta_steps = 5000
    return config
