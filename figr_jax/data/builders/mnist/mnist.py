"""MNIST: the 60,000 training images, one class per digit (LeCun et al. 1998)."""

import gzip
import zlib

import numpy as np
import tensorflow_datasets as tfds

from figr_jax.common.errors import BadInput
from figr_jax.data.builders import base, originals, sources

_ADDRESS = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
_SHAPES = ((60_000, 28, 28), (60_000,))


def read_idx(path, shape):
    """Reads a gzipped IDX file of bytes.

    Args:
      path: path of the file.
      shape: required shape.

    Returns:
      The array, uint8.

    Raises:
      BadInput: if it is truncated, or has another type or shape.
    """
    try:
        with gzip.open(path) as file:
            data = file.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: not a valid gzip file ({error})") from error
    header = b"\0\0\x08" + bytes([len(shape)]) + np.array(shape, ">u4").tobytes()
    if not data.startswith(header) or len(data) != len(header) + np.prod(shape):
        wanted = "x".join(map(str, shape))
        raise BadInput(f"{path}: not an IDX file of {wanted} bytes, like MNIST's")
    return np.frombuffer(data, np.uint8, offset=len(header)).reshape(shape)


class Mnist(base.ImageClasses, skip_registration=True):
    """Builder of the training images of MNIST, sorted by digit."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    IMAGE_SIZE = (28, 28)

    def _info(self):
        return self._make_info(
            description="Handwritten digits, 28x28, white on black: the 60,000 "
            "training images of MNIST.",
            homepage="http://yann.lecun.com/exdb/mnist/",
            citation="@article{lecun2010mnist, title={MNIST handwritten digit "
            "database}, author={LeCun, Yann and Cortes, Corinna and Burges, CJ}, "
            "year={2010}}",
        )

    def _collect(self, dl_manager):
        urls = {name: _ADDRESS + name for name in _FILES}
        paths = originals.find(urls, self.manual_dir, dl_manager)
        pixels, digits = map(read_idx, paths, _SHAPES)
        source = sources.Array(pixels)
        return base.group([str(digit) for digit in digits], source.names, source)
