"""The files of a bank: built from the records of a data set, and checked."""

import contextlib
import errno
import hashlib
import io
import json
import os
import pathlib
import shutil
import tempfile
import zlib
from typing import NamedTuple

import numpy as np

from figr_jax.common import files
from figr_jax.common.errors import BadInput
from figr_jax.data import drawings, images, parallel, styles

_FORMAT = 3  # format of a bank's files; a bank of another format is rebuilt
_CHUNK = 512  # images that a process decodes at a time
_BYTES = 2**24  # read at a time for a checksum


def find_fault(folder, builder):
    """Returns why a bank must be built; None if it is intact."""
    if not folder.is_dir():
        return "there is none yet"
    try:
        classes = json.loads((folder / "classes.json").read_text())
        if classes["format"] != _FORMAT or classes["source"] != _digest(builder):
            return "it was built from other data"
        if classes.pop("own_checksum") != files.json_checksum(classes):
            return "it is damaged: the checksum of classes.json does not match"
        if classes["checksum"] != _checksum(folder / "images.npy"):
            return "it is damaged: the checksum of images.npy does not match"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"it is damaged: {type(error).__name__} {error}"
    return None


def _digest(builder):
    """Computes a digest that identifies a data set, from its info and class names."""
    digest = hashlib.sha256()
    for name in ("dataset_info.json", "metadata.json", "label.labels.txt"):
        file = pathlib.Path(builder.data_dir, name)
        if file.exists():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _checksum(file):
    """Computes the CRC-32 of a file of any size."""
    checksum = 0
    with open(file, "rb") as opened:
        while data := opened.read(_BYTES):
            checksum = zlib.crc32(data, checksum)
    return checksum


class Kind(NamedTuple):
    """Form of the images of a bank.

    Attributes:
      image_size: height and width, pixels.
      channels: 1 or 3.
      redraws: whether images are prepared like users' drawings.
    """

    image_size: int
    channels: int
    redraws: bool

    @property
    def name(self):
        """Name of the bank's folder."""
        size = f"bank-{self.image_size}x{self.channels}"
        return f"{size}-drawings" if self.redraws else size

    @property
    def shape(self):
        """Shape of an image."""
        return self.image_size, self.image_size, self.channels

    def fit(self, image):
        """Converts an image, `[H, W, channels]` uint8, to one of the bank."""
        if not self.redraws:
            return images.fit(image, self.image_size)
        style = styles.plain(255.0)
        return drawings.prepare([image], self.image_size, style).support[0]


def find_decoded(folder, kind):
    """Returns the file in which the check of a data set stores decoded images.

    The bank is built from it, so no image is decoded twice. It is `[n, *kind.shape]`
    uint8, without a header.
    """
    return pathlib.Path(folder, f"{kind.name}.decoded")


def keep(decoded, kind, rows):
    """Keeps some images of a file of decoded ones; `rows` is `[n]` bool."""
    if rows.all():
        return
    pixels = np.memmap(decoded, np.uint8, "r+", shape=(len(rows), *kind.shape))
    kept = np.flatnonzero(rows)
    for chunk in parallel.cut(len(kept), _CHUNK):  # each moves towards the beginning
        part = slice(chunk.start, chunk.stop)
        pixels[part] = pixels[kept[part]]
    pixels.flush()
    os.truncate(decoded, pixels[: len(kept)].nbytes)


class _Decode:
    """A worker that decodes records to rows of a file and returns their labels."""

    def __init__(self, builder, kind):
        self._directory = str(builder.data_dir)
        self._split = "+".join(builder.info.splits)
        self._image, self._label = _keys(builder)
        self._kind = kind
        self._records = self._file = None

    def open(self, file):
        """Sets the file to write; its rows begin after numpy's header."""
        pixels = np.load(file, mmap_mode="r")
        self._path, self._offset = str(file), pixels.offset
        self._row_bytes = pixels[0].nbytes

    def read(self):
        """Opens the records undecoded: TFDS does not decode all files alike."""
        import tensorflow_datasets as tfds  # slow to import, and seldom needed

        decoders = {self._image: tfds.decode.SkipDecoding()}
        with self._told():
            builder = tfds.builder_from_directory(self._directory)
            records = builder.as_data_source(split=self._split, decoders=decoders)
            len(records)  # opens the files
        return records

    @contextlib.contextmanager
    def _told(self):
        """Turns all errors of TFDS and array_record for bad files into `BadInput`."""
        try:
            yield
        except Exception as error:
            raise BadInput(
                f"{self._directory}: its records cannot be read "
                f"({' '.join(str(error).split())}); remove the folder and prepare the "
                "data set again"
            ) from error

    def __call__(self, rows):
        if self._records is None:  # once per process
            self._records, self._file = self.read(), os.open(self._path, os.O_WRONLY)
        with self._told():
            records = self._records.__getitems__(list(rows))
        pixels = [
            self._decode(row, record[self._image])
            for row, record in zip(rows, records, strict=True)
        ]
        # Not through a memory map, whose pages would count as this process's memory.
        data = np.stack(pixels).tobytes()
        at = self._offset + rows.start * self._row_bytes
        if os.pwrite(self._file, data, at) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return np.array([record[self._label] for record in records], np.int64)

    def _decode(self, row, data):
        try:
            image = images.decode(io.BytesIO(data), self._kind.channels)
        except images.Unreadable as error:
            raise BadInput(
                f"{self._directory}: the image of record {row} cannot be decoded "
                f"({error}); prepare the data set again"
            ) from error
        return self._kind.fit(image)


def _keys(builder):
    """Finds the names of the image and of the label in the records of a data set."""
    import tensorflow_datasets as tfds

    features, keys = dict(builder.info.features.items()), builder.info.supervised_keys
    image, label = keys if keys and len(keys) == 2 else ("image", "label")
    if not (
        isinstance(features.get(image), tfds.features.Image)
        and isinstance(features.get(label), tfds.features.ClassLabel)
    ):
        raise BadInput(
            f"{builder.name}: its records have {', '.join(features)}; they must have "
            "an image with a class label"
        )
    return image, label


def _fill(file, builder, kind, decode):
    """Writes the images of a bank after the header of `file`; returns their labels."""
    pixels = np.load(file, mmap_mode="r")
    decoded = find_decoded(builder.data_dir, kind)
    if decoded.exists() and decoded.stat().st_size == pixels.nbytes:
        with open(decoded, "rb") as source, open(file, "r+b") as target:
            target.seek(pixels.offset)
            shutil.copyfileobj(source, target)
        counts = builder.info.metadata["counts"]
        return np.repeat(np.arange(len(counts)), counts)
    decode.open(file)
    chunks = parallel.cut(len(pixels), _CHUNK)
    return np.concatenate(list(parallel.run(decode, chunks, "Decoding images")))


def build(builder, folder, fault, kind):
    """Writes a bank next to its data set, to a temporary folder that is renamed."""
    print(f"building the bank {folder.name} of {builder.name}: {fault}", flush=True)
    for old in folder.parent.glob(".bank-*"):  # left by a killed process
        shutil.rmtree(old, ignore_errors=True)
    decode = _Decode(builder, kind)
    shape = (len(decode.read()), *kind.shape)
    copies = 1 if builder.info.disable_shuffling else 2  # a second copy, to sort them
    needed = copies * int(np.prod(shape))
    files.check_space(folder.parent, needed, f"a bank of {builder.name}")
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=".bank-", dir=folder.parent))
    try:
        # The inner folder has the user's usual permissions; that of mkdtemp is private.
        new = temporary / "new"
        new.mkdir()
        np.lib.format.open_memmap(new / "images.npy", "w+", np.uint8, shape).flush()
        labels = _fill(new / "images.npy", builder, kind, decode)
        if (np.diff(labels) < 0).any():
            _sort(new / "images.npy", labels)
        names = builder.info.features[_keys(builder)[1]].names
        if (labels < 0).any():
            print(f"{np.sum(labels < 0):,} images have no label and are left out")
        if labels.max() >= len(names):
            raise BadInput(
                f"{builder.data_dir}: damaged: labels up to {labels.max()}, but "
                f"{len(names)} class names; remove the folder and prepare it again"
            )
        starts = np.searchsorted(np.sort(labels), np.arange(len(names) + 1))
        classes = {
            "format": _FORMAT,
            "source": _digest(builder),
            "checksum": _checksum(new / "images.npy"),
            "class_start": starts.tolist(),
            "names": names,
            "attributes": (builder.info.metadata or {}).get("attributes", {}),
        }
        classes["own_checksum"] = files.json_checksum(classes)
        files.write_json(new / "classes.json", classes)
        files.sync(new)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
        # Also those of other kinds: left if preparing was stopped before its bank.
        for decoded in pathlib.Path(builder.data_dir).glob("bank-*.decoded"):
            decoded.unlink(missing_ok=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sort(file, labels):
    """Sorts the images of a file by class, a chunk at a time."""
    old = np.load(file, mmap_mode="r")
    order = np.argsort(labels, kind="stable")
    copy = file.with_name("sorted.npy")
    with open(copy, "wb") as new:
        with open(file, "rb") as header:
            new.write(header.read(old.offset))
        for rows in parallel.cut(len(order), _CHUNK):
            new.write(old[order[rows.start : rows.stop]].tobytes())
    copy.replace(file)
