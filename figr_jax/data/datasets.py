"""The data sets by name, and how to prepare one."""

import importlib

from figr_jax.errors import BadInput

# Builders import tensorflow-datasets, which is slow: each is imported when needed.
_BUILDERS = {"glyphs": "figr_jax.data.builders.glyphs.glyphs:Glyphs"}
NAMES = tuple(_BUILDERS)


def builder(name, data_dir=None):
    """The TFDS builder of a data set.

    Args:
      name: one of `NAMES`.
      data_dir: where prepared data sets live; TFDS's own default if None.

    Returns:
      A `tfds.core.DatasetBuilder`; `prepare` makes sure that it can be read.

    Raises:
      BadInput: if there is no such data set.
    """
    if name not in _BUILDERS:
        raise BadInput(f"unknown data set {name!r}: must be one of {', '.join(NAMES)}")
    module, _, attribute = _BUILDERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(data_dir=data_dir)


def prepare(dataset_builder):
    """Prepares a data set unless it is already; TFDS shows the progress.

    Raises:
      OSError: if its folder cannot be written.
    """
    if not dataset_builder.is_prepared():
        print(f"preparing {dataset_builder.info.full_name}, once", flush=True)
        dataset_builder.download_and_prepare()
