"""The bank: all images of a data set as one uint8 array, sorted by class."""

import json
import pathlib
from typing import NamedTuple

import numpy as np

from figr_jax.common.errors import BadInput
from figr_jax.data import bank_files, datasets


class Bank(NamedTuple):
    """All images of a data set.

    Attributes:
      images: `[images, H, W, C]` uint8, sorted by class; a memory map.
      class_start: `[classes + 1]` int64, where each class begins and the last one ends.
      names: names of the classes.
      attributes: attributes of the classes, as a dict of name to one value per class:
        for omniglot `alphabet` and `set`, for a mix `dataset`.
      dataset: name of the data set.
      version: its version.
      licence: licence of its images, in words; empty if unknown.
    """

    images: np.ndarray
    class_start: np.ndarray
    names: tuple[str, ...]
    attributes: dict[str, list]
    dataset: str
    version: str
    licence: str = ""

    @property
    def sets(self):
        """Names of the data sets, one per class; those of the parts for a mix."""
        return self.attributes.get("dataset", [self.dataset] * len(self.names))

    def class_images(self, index):
        """Returns all images of a class: `[count, H, W, C]` uint8."""
        return self.images[self.class_start[index] : self.class_start[index + 1]]


def load(dataset, image_size, channels, data_dir=None, manual_dir=None):
    """Loads a bank; prepares the data set and builds the bank if needed.

    A bank that is damaged, or was built from other data, is rebuilt.

    Args:
      dataset: name of a data set, see `datasets.ALLOWED`.
      image_size: height and width, pixels.
      channels: 1 or 3.
      data_dir: where prepared data sets live; TFDS's own default if None.
      manual_dir: folder of the original files; None to download them.

    Returns:
      A `Bank`. The bank of a mix is in memory.

    Raises:
      BadInput: if there is no such data set, its folder cannot be written, or the data
        sets of a mix differ in channels.
    """
    names = datasets.parts(dataset)
    if names != [dataset]:
        datasets.check_mix(dataset, data_dir)
    banks = [_load(name, image_size, channels, data_dir, manual_dir) for name in names]
    return banks[0] if names == [dataset] else _join(dataset, banks)


def _join(dataset, banks):
    """Joins the banks of several data sets; their class names must differ."""
    names = [name for bank in banks for name in bank.names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"{dataset}: two of its data sets have a class named {twice!r}")
    keys = {key for bank in banks for key in bank.attributes}
    attributes = {
        key: [
            value
            for bank in banks
            for value in bank.attributes.get(key, [None] * len(bank.names))
        ]
        for key in keys
    }
    attributes["dataset"] = [bank.dataset for bank in banks for _ in bank.names]
    firsts = np.cumsum([0, *(len(bank.images) for bank in banks)])
    starts = [b.class_start[:-1] + at for b, at in zip(banks, firsts, strict=False)]
    return Bank(
        np.concatenate([bank.images for bank in banks]),
        np.concatenate([*starts, firsts[-1:]]),
        tuple(names),
        attributes,
        dataset,
        ",".join(bank.version for bank in banks),
        "; ".join(f"{bank.dataset}: {bank.licence or 'unknown'}" for bank in banks),
    )


def _load(dataset, image_size, channels, data_dir, manual_dir):
    """Loads the bank of a single data set, see `load`."""
    kind = bank_files.Kind(image_size, channels, dataset.startswith("drawings:"))
    try:
        builder = datasets.prepare(dataset, data_dir, manual_dir, kind)
        folder = pathlib.Path(builder.data_dir, kind.name)
        fault = bank_files.find_fault(folder, builder)
        if fault:
            with datasets.lock(builder):
                # Checked again: another process may have built it.
                fault = bank_files.find_fault(folder, builder)
                if fault:
                    bank_files.build(builder, folder, fault, kind)
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        raise BadInput(
            f"{dataset} cannot be prepared: {file}{error.strerror or error}; prepared "
            f"data goes to {data_dir or 'the folder of TFDS'} (--data_dir)"
        ) from error
    classes = json.loads((folder / "classes.json").read_text())
    return Bank(
        np.load(folder / "images.npy", mmap_mode="r"),
        np.array(classes["class_start"]),
        tuple(classes["names"]),
        classes["attributes"],
        dataset,
        datasets.edition(builder),
        builder.info.redistribution_info.license or "",
    )
