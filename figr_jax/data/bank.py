"""The bank: all images of a data set as one uint8 array, sorted by class."""

import io
import json
import pathlib
import shutil
import tempfile
from typing import NamedTuple

import numpy as np
import tqdm

from figr_jax import files
from figr_jax.data import datasets, images
from figr_jax.errors import BadInput


class Bank(NamedTuple):
    """All images of a data set.

    Attributes:
      images: `[images, H, W, C]` uint8, sorted by class; a memory map.
      class_start: `[classes + 1]` int64, where each class begins and the last one ends.
      names: names of the classes.
      dataset: name of the data set.
      version: its version.
    """

    images: np.ndarray
    class_start: np.ndarray
    names: tuple[str, ...]
    dataset: str
    version: str

    def class_images(self, index):
        """All images of a class: `[count, H, W, C]` uint8."""
        return self.images[self.class_start[index] : self.class_start[index + 1]]


def load(dataset, image_size, channels, data_dir=None):
    """Loads a bank; builds it, and prepares the data set, where that was not yet done.

    Args:
      dataset: one of `datasets.NAMES`.
      image_size: height and width, pixels.
      channels: 1 or 3.
      data_dir: where prepared data sets live; TFDS's own default if None.

    Returns:
      A `Bank`.

    Raises:
      BadInput: if there is no such data set, or its folder cannot be written.
    """
    builder = datasets.builder(dataset, data_dir)
    folder = pathlib.Path(builder.data_dir) / f"bank-{image_size}x{channels}"
    try:
        datasets.prepare(builder)
        if not folder.is_dir():
            _build(builder, folder, image_size, channels)
    except OSError as error:
        raise BadInput(
            f"{builder.data_dir}: cannot be prepared ({error}); another folder can be "
            "given with --data_dir"
        ) from error
    classes = json.loads((folder / "classes.json").read_text())
    return Bank(
        np.load(folder / "images.npy", mmap_mode="r"),
        np.array(classes["class_start"]),
        tuple(classes["names"]),
        dataset,
        str(builder.version),
    )


def _build(builder, folder, image_size, channels):
    """Writes a bank beside its data set, to a temporary folder that is then renamed."""
    import tensorflow_datasets as tfds  # slow to import, and seldom needed

    # TFDS would decode too, but what it gives depends on the decoder that it finds.
    records = builder.as_data_source(
        split="train", decoders={"image": tfds.decode.SkipDecoding()}
    )
    # The inner folder has the user's usual permissions; that of mkdtemp is private.
    temporary = pathlib.Path(
        tempfile.mkdtemp(prefix=".bank-", dir=folder.parent), "new"
    )
    temporary.mkdir()
    try:
        pixels = np.lib.format.open_memmap(
            temporary / "images.npy",
            "w+",
            np.uint8,
            (len(records), image_size, image_size, channels),
        )
        labels = np.empty(len(records), np.int64)
        bar = tqdm.tqdm(records, "Building the bank", unit=" images")
        for i, record in enumerate(bar):
            image = images.decode(io.BytesIO(record["image"]), channels)
            pixels[i] = images.fit(image, image_size)
            labels[i] = record["label"]
        pixels.flush()
        names = builder.info.features["label"].names
        starts = np.searchsorted(labels, np.arange(len(names) + 1))
        files.write_json(
            temporary / "classes.json",
            {"class_start": starts.tolist(), "names": names},
        )
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process has just built the same
                raise
    finally:
        shutil.rmtree(temporary.parent, ignore_errors=True)
