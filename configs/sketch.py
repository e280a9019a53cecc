"""Drawings of anything: characters, glyphs and icons in equal shares.

python -m figr_jax.main --config=configs/sketch.py

Networks, inner loop and sampling are those of configs/omniglot_fusion.py. Prepare the
data once: python -m figr_jax.prepare --dataset=mix:omniglot,glyphs,open_icons

Gave the shipped sketch-32 in two runs on one CPU core: 7,000 meta-steps in 0.6 hours
before networks.low_pass was added, then 6,000 with it in 1.0 hours, from the weights of
the first (--config.run.init_from). In equal time an outer rate of 1e-3 gave better
images than 5e-4; 2e-3 did not train (experiments/results/sweep.jsonl). The sampling
settings were chosen on tuning classes (experiments/results/quality.jsonl).
"""

from figr_jax import config_files


def get_config():
    """Returns configs/omniglot_fusion.py with a mix of data sets."""
    config = config_files.load("omniglot_fusion")
    config.dataset.update(
        name="mix:omniglot,glyphs,open_icons", split="weak", heldout=100
    )
    config.outer.tasks = 1
    config.run.update(meta_steps=7000, sample_every=500, save_every=250)
    return config
