"""Where encoded images lie: in zip archives, in a folder, in an array."""

import functools
import io
import os
import pathlib
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from figr_jax.data import images
from figr_jax.errors import BadInput

# What Git LFS leaves in the place of a file that it did not fetch begins like this.
POINTER = b"version https://git-lfs.github.com/spec/v1"

_HEADER = struct.Struct("<4s5H3I2H")  # the local header of a zip member
_UTF8 = 0x800  # flag of a member whose name is not in the old code page


class Zips:
    """Image files in zip archives, read at random.

    Python's `zipfile` lists them; it keeps half a kilobyte a member and reads the list
    anew in each process, so only where each member lies is kept, and sent to processes.
    """

    def __init__(self, paths):
        """Lists the images of the archives at `paths`; `names` are theirs.

        Raises:
          BadInput: if one is no whole archive, or has a member outside of itself.
        """
        self._paths = [str(path) for path in paths]
        self.names, rows = [], []
        for number, path in enumerate(self._paths):
            for info in _list_members(path):
                refuse_to_leave(path, info.filename)
                if is_image(info.filename):
                    self.names.append(info.filename)
                    rows.append(_row(number, info))
        self._rows = np.array(rows, np.int64).reshape(-1, 6)

    def __getstate__(self):
        """Leaves out the names, which are many, and the open files."""
        return {"_paths": self._paths, "_rows": self._rows}

    @property
    def sizes(self):
        """Bytes of each image, `[n]`."""
        return self._rows[:, 3]

    @functools.cached_property
    def _files(self):
        return [open(path, "rb") for path in self._paths]  # once a process

    def read(self, item):
        """The content of a member.

        Raises:
          OSError: if it is damaged.
        """
        number, offset, packed, size, method, checksum = map(int, self._rows[item])
        data = self._member(number, offset, packed)[1]
        if method == zipfile.ZIP_DEFLATED:
            try:
                data = zlib.decompressobj(-15).decompress(data, size + 1)
            except zlib.error as error:
                raise OSError(f"damaged in the archive ({error})") from error
        elif method != zipfile.ZIP_STORED:
            raise OSError(f"packed by method {method}, which is not supported")
        if len(data) != size or zlib.crc32(data) != checksum:
            raise OSError("damaged in the archive")
        return data

    def name(self, item):
        """The path of a member; if its header is damaged, where that is."""
        number, offset, *_ = map(int, self._rows[item])
        try:
            return self._member(number, offset, 0)[0]
        except OSError:
            return f"{self._paths[number]} at byte {offset}"

    def _member(self, number, offset, packed):
        file = self._files[number].fileno()
        header = os.pread(file, _HEADER.size, offset)
        if len(header) < _HEADER.size or not header.startswith(b"PK\3\4"):
            raise OSError("damaged in the archive (no header)")
        _, _, flags, *_, name_size, extra_size = _HEADER.unpack(header)
        name = os.pread(file, name_size, offset + _HEADER.size)
        start = offset + _HEADER.size + name_size + extra_size
        return (
            name.decode("utf-8" if flags & _UTF8 else "cp437", "replace"),
            os.pread(file, packed, start),
        )


def pointer_error(path):
    """The error for a file at `path` that begins with `POINTER`."""
    return BadInput(
        f"{path}: a Git LFS pointer, not the file itself; run `git lfs pull` in the "
        "clone that it is from, or download the data from elsewhere"
    )


def _list_members(path):
    with open(path, "rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise pointer_error(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, EOFError, struct.error) as error:
        raise BadInput(
            f"{path}: not a whole zip archive ({error}); download it again"
        ) from error


def _row(number, info):
    return (
        number,
        info.header_offset,
        info.compress_size,
        info.file_size,
        info.compress_type,
        info.CRC,
    )


def refuse_to_leave(path, name):
    """Raises BadInput if member `name` of the archive at `path` lies outside of it."""
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
        raise BadInput(f"{path}: its member {name!r} would leave the folder: refused")


class Folder:
    """Image files in the folders of a folder."""

    def __init__(self, root):
        """Lists `root`/<class>/<image>; `names` are these paths without `root`."""
        self._root = pathlib.Path(root)
        self.names, sizes = [], []
        for inside in sorted(self._root.iterdir()):
            if inside.is_dir() and not inside.name.startswith("."):
                with os.scandir(inside) as entries:
                    for entry in entries:
                        if is_image(entry.name) and entry.is_file():
                            self.names.append(f"{inside.name}/{entry.name}")
                            sizes.append(entry.stat().st_size)
        self.sizes = np.array(sizes, np.int64)

    def read(self, item):
        """The content of a file; OSError if it cannot be read."""
        return (self._root / self.names[item]).read_bytes()

    def name(self, item):
        """Its path below the root."""
        return self.names[item]


class Array:
    """Grey images in memory, `[n, H, W]` uint8; PNG files when they are read."""

    def __init__(self, pixels):
        """Takes the images; they are named by their number."""
        self._pixels = pixels
        self.names = [f"{i:06}" for i in range(len(pixels))]
        self.sizes = np.full(len(pixels), pixels[0].size)

    def read(self, item):
        """An image as a PNG file."""
        file = io.BytesIO()
        Image.fromarray(self._pixels[item]).save(file, "PNG")
        return file.getvalue()

    def name(self, item):
        """Its number."""
        return self.names[item]


def is_image(path):
    """Whether a path is that of an image, and of no file that a system left there."""
    name = path.rsplit("/", 1)[-1].lower()
    return (
        name.endswith(images.SUFFIXES)
        and not name.startswith(".")
        and not path.startswith("__MACOSX/")
    )
