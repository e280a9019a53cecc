"""The check of the images of a data set, by several processes."""

import io
import zlib

import numpy as np

from figr_jax.data import images
from figr_jax.data.builders import sources


class Check:
    """A worker that decodes images.

    It returns checksums of their pixels, the unreadable ones, and the images of the
    bank `[rows, *kind.shape]`, if there will be one.
    """

    def __init__(self, collection, size, digests_colour, kind):
        """Sets what to check.

        Args:
          collection: `base.Collection`.
          size: height and width that all images must have; None for any.
          digests_colour: whether checksums are of colours; otherwise of grey levels.
          kind: `bank_files.Kind` of the bank, or None.
        """
        self._items, self._source = collection[2:4]
        self._size, self._digests_colour, self._kind = size, digests_colour, kind
        self._channels = 3 if digests_colour or (kind and kind.channels == 3) else 1

    def __call__(self, rows):
        """Checks the images of a range of rows."""
        checksums, bad = np.zeros(len(rows), np.uint32), []
        pixels = (
            np.zeros((len(rows), *self._kind.shape), np.uint8) if self._kind else None
        )
        for row in rows:
            item, at = self._items[row], row - rows.start
            try:
                data = self._source.read(item)
                if data.startswith(sources.POINTER):
                    raise sources.pointer_error(self._source.name(item))
                image = self._decode(data)
                checksums[at] = zlib.crc32(self._as_stored(image))
                if self._kind:
                    pixels[at] = self._kind.fit(_convert(image, self._kind.channels))
            except (OSError, ValueError, zlib.error) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                bad.append((row, f"{self._source.name(item)}: {reason}"))
        return checksums, bad, pixels

    def _decode(self, data):
        if not data:
            raise images.Unreadable("empty file")
        image = images.decode(io.BytesIO(data), self._channels)
        height, width, _ = image.shape
        if self._size and (height, width) != self._size:
            wanted = "x".join(map(str, self._size[::-1]))
            raise images.Unreadable(f"{width}x{height} pixels, must be {wanted}")
        return image

    def _as_stored(self, image):
        """Returns the pixels to identify an image by; encoders differ."""
        is_grey = not self._digests_colour or (image == image[..., :1]).all()
        return _convert(image, 1 if is_grey else 3)


def _convert(image, channels):
    """Converts an image to 1 channel, if it has more than are wanted."""
    return images.to_grey(image) if image.shape[-1] > channels else image
