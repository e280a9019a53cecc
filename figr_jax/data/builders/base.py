"""The common part of the builders: check, drop, and write images in parallel.

A builder says where the images of each class are (`_collect`). This module does the
rest. It skips and lists images that cannot be decoded, drops small classes, and writes
shards of array_record files by several processes, in the order of the classes.
"""

import contextlib
import hashlib
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import (
    dataset_builder,
    example_serializer,
    file_adapters,
    writer,
)

from figr_jax.common import files
from figr_jax.common.errors import BadInput
from figr_jax.data import bank_files, parallel
from figr_jax.data.builders import checking

MAX_SKIPPED = 0.05  # share of unreadable images above which preparation fails

_CHECK_CHUNK = 512  # images that a process checks at a time
_SHARD = 8192  # images in a file
_RECORD_BYTES = 200  # approximate maximum of a record without its image


class Collection(NamedTuple):
    """Index of the images of a data set, sorted by class.

    Attributes:
      names: names of the classes.
      labels: `[n]` int, the class of each image, non-decreasing.
      items: `[n]` int, the number of each image in `source`.
      source: picklable; `source.read(item)` returns an encoded image,
        `source.name(item)` its path or other name, `source.sizes` the approximate bytes
        of each.
      attributes: attributes of the classes, as a dict of name to one value per class.
    """

    names: list[str]
    labels: np.ndarray
    items: np.ndarray
    source: Any
    attributes: dict[str, list] = {}


def group(classes, ids, source, shown=None):
    """Builds a `Collection`, sorted by class, then by id.

    Args:
      classes: the class of each item of `source`; items with None are left out.
      ids: the id of each item.
      source: see `Collection`.
      shown: dict of the name to show for each class; None shows the class itself.
    """
    items = sorted(
        (i for i, name in enumerate(classes) if name is not None),
        key=lambda i: (classes[i], ids[i]),
    )
    names = sorted({classes[i] for i in items})
    index = {name: label for label, name in enumerate(names)}
    labels = np.fromiter((index[classes[i]] for i in items), np.int64, len(items))
    if shown:
        names = [shown[name] for name in names]
    return Collection(names, labels, np.array(items, np.int64), source)


class _Write:
    """A worker that writes a shard of array_record files."""

    def __init__(self, features, collection, paths):
        self._paths, (_, self._labels, self._items, self._source, _) = paths, collection
        self._writer = writer.ShardWriter(
            features,
            example_serializer.ExampleSerializer(features.get_serialized_info()),
            writer.ExampleWriter(file_adapters.FileFormat.ARRAY_RECORD),
        )

    def __call__(self, rows):
        try:
            self._writer.write(self._examples(rows), self._paths[rows.start // _SHARD])
        except RuntimeError as error:  # array_record's error for a full disk
            raise OSError(str(error)) from error

    def _examples(self, rows):
        for row in rows:
            item = self._items[row]
            image, name = self._source.read(item), self._source.name(item)
            yield row, {"image": image, "label": self._labels[row], "id": name}


class ImageClasses(dataset_builder.FileReaderBuilder, skip_registration=True):
    """A data set of images by class, sorted by class, in array_record files.

    Attributes:
      MIN_IMAGES: classes with fewer sound images are dropped.
      IMAGE_SIZE: height and width that all images must have, pixels; None for any.
      COLOUR: whether images may be in colour.
      DIGESTS_COLOUR: whether the digest of the content covers colours; otherwise it
        covers grey levels alone.
      manual_dir: where the user put the original files; None to download them.
      kind: `bank_files.Kind` of the bank that the caller will build, if any: the check
        stores its images, so that none is decoded twice.
    """

    MIN_IMAGES = 1
    IMAGE_SIZE = None
    COLOUR = False
    DIGESTS_COLOUR = True
    manual_dir = None
    kind = None

    def __init__(self, *, file_format="array_record", **kwargs):
        """Sets a file format that, unlike the default, needs no TensorFlow."""
        super().__init__(file_format=file_format, **kwargs)

    @property
    def title(self):
        """Name of the data set in messages."""
        return self.name

    @property
    def is_stale(self):
        """True if the original has changed since it was prepared."""
        return False

    @property
    def edition(self):
        """The version, with a digest of class names and pixels."""
        return f"{self.version}+{self.info.metadata['content'][:8]}"

    def _log_download_bytes(self):
        """Logs nothing: TFDS would report that all sizes are unknown."""

    def _collect(self, dl_manager) -> Collection:
        """Finds the images.

        Raises:
          BadInput: if the archive is missing, or its content is not as expected.
        """
        raise NotImplementedError

    def _make_info(self, **kwargs):
        height, width = self.IMAGE_SIZE or (None, None)
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(height, width, 3 if self.COLOUR else 1)
                    ),
                    "label": tfds.features.ClassLabel(),
                    "id": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
            **kwargs,
        )

    def _download_and_prepare(self, dl_manager, download_config=None):
        collection = self._collect(dl_manager)
        sizes = np.asarray(collection.source.sizes)[collection.items]
        # The decoded images, and the bank that is copied from them.
        of_bank = 2 * math.prod(self.kind.shape) if self.kind else 0
        files.check_space(
            self.data_dir_root,
            int(sizes.sum()) + len(sizes) * (_RECORD_BYTES + of_bank),
            f"preparing the {len(sizes):,} images of {self.title}",
        )
        checksums, skipped = self._check(collection)
        collection, stays, dropped = self._keep(collection, skipped)
        if self.kind:
            decoded = bank_files.find_decoded(self.data_path, self.kind)
            bank_files.keep(decoded, self.kind, stays)
            files.sync(decoded)  # only its size is checked before it is used
        _check_names(collection.names)
        content = hashlib.sha256("\n".join(collection.names).encode())
        content.update(collection.labels.astype("<i8").tobytes())
        content.update(checksums[stays].astype("<u4").tobytes())
        self.info.metadata.update(
            content=content.hexdigest(),
            skipped=len(skipped),
            dropped=dropped,
            attributes=collection.attributes,
            counts=np.bincount(collection.labels).tolist(),
        )
        self.info.features["label"].names = collection.names
        self._write(collection)
        if skipped:
            lines = "".join(line + "\n" for _, line in skipped)
            files.write_bytes(self.data_path / "skipped.txt", lines.encode())

    def _check(self, collection):
        """Returns checksums `[n]` of all images; row and reason of unreadable ones."""
        n = len(collection.items)
        digests_colour = self.COLOUR and self.DIGESTS_COLOUR
        work = checking.Check(collection, self.IMAGE_SIZE, digests_colour, self.kind)
        chunks = parallel.cut(n, _CHECK_CHUNK)
        checksums, skipped = [np.zeros(0, np.uint32)], []
        with contextlib.ExitStack() as stack:
            if self.kind:
                path = bank_files.find_decoded(self.data_path, self.kind)
                decoded = stack.enter_context(open(path, "wb"))
            for part, bad, pixels in parallel.run(work, chunks, "Checking images"):
                checksums.append(part)
                skipped += bad
                if self.kind:
                    decoded.write(pixels)
        if skipped:
            summary = (
                f"{len(skipped):,} of {n:,} images unreadable, first {skipped[0][1]}"
            )
            if len(skipped) > MAX_SKIPPED * n:
                raise BadInput(
                    f"{self.title}: {summary}; more than {MAX_SKIPPED:.0%} is too "
                    "many: check that the archive is complete"
                )
            print(f"skipped, and listed in skipped.txt: {summary}", flush=True)
        return np.concatenate(checksums), skipped

    def _keep(self, collection, skipped):
        """Drops small classes: returns the rest, its mask `[n]`, and dropped names."""
        names, labels, items, source, attributes = collection
        sound = np.ones(len(items), bool)
        sound[[row for row, _ in skipped]] = False
        enough = np.bincount(labels[sound], minlength=len(names)) >= self.MIN_IMAGES
        stays = sound & enough[labels]

        def choose(values, mask=enough):
            return [value for value, keep in zip(values, mask, strict=True) if keep]

        kept = Collection(
            choose(names),
            (np.cumsum(enough) - 1)[labels[stays]],
            items[stays],
            source,
            {key: choose(values) for key, values in attributes.items()},
        )
        dropped = choose(names, ~enough)
        if dropped:
            least = f"fewer than {self.MIN_IMAGES} images"
            print(f"{len(dropped):,} of {len(names):,} classes dropped: {least}")
        if len(kept.names) < 2:
            raise BadInput(
                f"{self.title}: classes with {self.MIN_IMAGES} or more images: "
                f"{len(kept.names)}; 2 are needed, one to train on, one to hold out"
            )
        return kept, stays, dropped

    def _write(self, collection):
        chunks = parallel.cut(len(collection.items), _SHARD)
        template = self._get_filename_template("train")
        paths = [
            template.sharded_filepath(shard_index=i, num_shards=len(chunks))
            for i in range(len(chunks))
        ]
        work = _Write(self.info.features, collection, paths)
        for _ in parallel.run(work, chunks, "Writing records"):
            pass
        split = tfds.core.SplitInfo(
            name="train",
            shard_lengths=[len(rows) for rows in chunks],
            num_bytes=sum(path.stat().length for path in paths),
            filename_template=template,
        )
        self.info.set_splits(tfds.core.SplitDict([split]))


def _check_names(names):
    """Rejects names that TFDS, which writes one per line, would not read back."""
    for name in names:
        if not name or name != name.strip() or len(name.splitlines()) > 1:
            raise BadInput(
                f"class {name!r}: a name must not be empty, begin or end with a blank, "
                "or have several lines; rename it"
            )
