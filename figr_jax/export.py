"""Export of a model as one file that generates images with JAX, as StableHLO."""

import pathlib

import jax
import numpy as np
from jax import export

from figr_jax import adaptation, sampling
from figr_jax.common import compilation, files
from figr_jax.common.errors import BadInput
from figr_jax.data import images

PLATFORMS = "cpu", "cuda"


def write(networks, options, slow, path, shots, count):
    """Writes a function that adapts to a support and generates images.

    The function takes the support `[shots, H, W, C]` uint8, the seed of the inner steps
    (uint32), and candidates `[count, best_of, latent]` float32, standard normal. It
    returns `[count, H, W, C]` uint8: for each image the best of its candidates.

    Args:
      networks: `networks.Networks`.
      options: `sampling.Sampling`.
      slow: slow parameters, `networks.GanParams`; the file contains them.
      path: path of the new file.
      shots: number of support images.
      count: number of images.

    Raises:
      BadInput: if the file exists, or its folder does not.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise BadInput(f"{path}: exists; give the path of a new file")
    if not path.parent.is_dir():
        raise BadInput(f"{path}: there is no folder {path.parent}")

    def generate(support, seed, candidates):
        support = images.to_float(support)
        key = adaptation.sampling_key(seed)
        noise = adaptation.draw_noise(key, networks, shots, options.inner)
        episode = adaptation.Episode(support)
        fast, _ = adaptation.adapt_with_noise(
            networks, slow, episode, noise, options.inner
        )
        drawn = sampling.generate_best(networks, options, fast, support, candidates)
        return images.to_uint8(drawn)

    side = networks.image_size
    arguments = (
        jax.ShapeDtypeStruct((shots, side, side, networks.channels), np.uint8),
        jax.ShapeDtypeStruct((), np.uint32),
        jax.ShapeDtypeStruct((count, options.best_of, networks.latent), np.float32),
    )
    to_file = compilation.in_float32(
        export.export(jax.jit(generate), platforms=PLATFORMS)
    )
    files.write_bytes(path, bytes(to_file(*arguments).serialize()))
