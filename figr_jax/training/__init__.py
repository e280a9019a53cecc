"""Meta-training: start or resume a run, train block by block, save, sample."""

from figr_jax.training.loop import train as train
