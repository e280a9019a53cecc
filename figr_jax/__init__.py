"""Few-shot image generation with Reptile (FIGR; Clouatre and Demers 2019) in JAX.

import figr_jax
model = figr_jax.load("runs/quickstart")
adapted = model.adapt(images)  # uint8 [shots, H, W, C], a class never seen
new = adapted.generate(24)     # uint8 [24, H, W, C]
"""

__version__ = "0.1.0"


def load(path):
    """Loads a meta-trained model, a `generation.FewShotGenerator`.

    Args:
      path: the name of shipped weights, a run's folder (for its newest snapshot), or
        one snapshot.
    """
    # A local import: processes that only prepare data need not wait for jax and orbax.
    from figr_jax import generation

    return generation.load(path)
