"""Sources of encoded images: zip archives, a folder, an array."""

import functools
import hashlib
import os
import pathlib
import struct
import zipfile
import zlib

import numpy as np

from figr_jax.common.errors import BadInput
from figr_jax.data import images

# The beginning of the pointer that replaces a file that Git LFS did not fetch.
POINTER = b"version https://git-lfs.github.com/spec/v1"

_HEADER = struct.Struct("<4s5H3I2H")  # the local header of a zip member
# Position and format of a member. Compact: each process holds millions of them.
_ROW = np.dtype(
    [
        ("archive", np.uint16),
        ("offset", np.int64),
        ("packed", np.uint32),
        ("size", np.uint32),
        ("method", np.uint8),
        ("checksum", np.uint32),
    ]
)
_ENCRYPTED = 0x1  # flag of a member
_UTF8 = 0x800  # flag of a member whose name is not in the old code page


class Zips:
    """Image files in zip archives, read at random.

    Python's `zipfile` lists them. It keeps half a kilobyte per member and reads the
    list again in each process, so only the position of each member is kept and sent to
    processes.
    """

    def __init__(self, paths):
        """Lists the images of the archives at `paths`; `names` are their names.

        Raises:
          BadInput: if one is not a valid archive, has a member outside of itself, or is
            encrypted or packed in an unsupported way.
        """
        self._paths = [str(path) for path in paths]
        self.names, rows = [], []
        for number, path in enumerate(self._paths):
            members, count = _list_members(path), 0
            table = np.empty(len(members), _ROW)
            for info in members:
                name = _slashes(info.filename)
                refuse_to_leave(path, name)
                if is_image(name):
                    self.names.append(name)
                    table[count] = _row(number, path, info)
                    count += 1
            rows.append(table[:count])
        self._rows = np.concatenate(rows)

    def __getstate__(self):
        """Leaves out the names, which are many, and the open files."""
        return {"_paths": self._paths, "_rows": self._rows}

    @property
    def sizes(self):
        """Bytes of each image, `[n]`."""
        return self._rows["size"].astype(np.int64)

    @functools.cached_property
    def _files(self):
        return [open(path, "rb") for path in self._paths]  # once per process

    def read(self, item):
        """Reads a member.

        Raises:
          OSError: if it is damaged.
        """
        number, offset, packed, size, method, checksum = self._rows[item].tolist()
        data = self._member(number, offset, packed)[1]
        if method == zipfile.ZIP_DEFLATED:
            try:
                data = zlib.decompressobj(-15).decompress(data, size + 1)
            except zlib.error as error:
                raise OSError(f"damaged in the archive ({error})") from error
        if len(data) != size or zlib.crc32(data) != checksum:
            raise OSError("damaged in the archive")
        return data

    def name(self, item):
        """Returns the path of a member, or its offset if its header is damaged."""
        number, offset, *_ = self._rows[item].tolist()
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
        name = name.decode("utf-8" if flags & _UTF8 else "cp437", "replace")
        start = offset + _HEADER.size + name_size + extra_size
        return _slashes(name), os.pread(file, packed, start)


def pointer_error(path):
    """Makes the error for a file at `path` that begins with `POINTER`."""
    return BadInput(
        f"{path}: a Git LFS pointer, not the file itself; run `git lfs pull` in "
        "its clone, or download the data from elsewhere"
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
            f"{path}: not a valid zip archive ({error}); download it again"
        ) from error


def _slashes(name):
    return name.replace("\\", "/")  # some programs on Windows write backslashes


def _row(number, path, info):
    packing = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    if (
        info.flag_bits & _ENCRYPTED
        or info.compress_type not in packing
        or max(info.file_size, info.compress_size) >= 2**32
    ):
        raise BadInput(
            f"{path}: {info.filename!r} is encrypted, or packed in a way that is not "
            "supported; repack it as an ordinary zip archive"
        )
    return (
        number,
        info.header_offset,
        info.compress_size,
        info.file_size,
        info.compress_type,
        info.CRC,
    )


def refuse_to_leave(path, name):
    """Raises BadInput if member `name` of the archive at `path` is outside of it."""
    if name.startswith("/") or ".." in name.split("/"):
        raise BadInput(f"{path}: its member {name!r} would be outside of the folder")


class Folder:
    """Image files in the subfolders of a folder."""

    def __init__(self, root):
        """Lists `root`/<class>/<image>; `names` are these paths without `root`.

        `ignored` are the paths of files whose suffix is not that of an image.
        `digest` covers names, sizes and modification times, so no file is read.

        Raises:
          BadInput: if a name is not UTF-8.
        """
        self._root = pathlib.Path(root)
        self.names, self.ignored = [], []
        sizes, digest = [], hashlib.sha256()
        for inside in sorted(self._root.iterdir()):
            if not inside.is_dir() or inside.name.startswith("."):
                continue
            for file in sorted(inside.iterdir()):
                name = f"{inside.name}/{file.name}"
                if file.is_file() and not is_image(name):
                    self.ignored += [] if file.name.startswith(".") else [name]
                elif file.is_file():
                    stat = file.stat()
                    self.names.append(name)
                    sizes.append(stat.st_size)
                    line = f"{name}/{stat.st_size}/{stat.st_mtime_ns}"
                    digest.update(_encode(line))
        self.sizes, self.digest = np.array(sizes, np.int64), digest.hexdigest()

    def read(self, item):
        """Reads a file; OSError if it cannot be read, or is too large."""
        if self.sizes[item] > images.MAX_BYTES:
            raise OSError(f"larger than {images.MAX_BYTES:,} bytes")
        return (self._root / self.names[item]).read_bytes()

    def name(self, item):
        """Returns the path below the root."""
        return self.names[item]


def _encode(text):
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{text!r}: not a UTF-8 name; rename it") from error


class Array:
    """Grey images in memory, `[n, H, W]` uint8; `read` returns PNG files."""

    def __init__(self, pixels, names=None):
        """Takes the images and their names, by default their numbers."""
        self._pixels = pixels
        self.names = names or [f"{i:06}" for i in range(len(pixels))]
        self.sizes = np.full(len(pixels), pixels[0].size)

    def read(self, item):
        """Encodes an image as a PNG file."""
        return images.encode(self._pixels[item])

    def name(self, item):
        """Returns the name of an image."""
        return self.names[item]


def is_image(path):
    """Returns whether a path is an image's, not that of a file of the system."""
    name = path.rsplit("/", 1)[-1].lower()
    return (
        name.endswith(images.SUFFIXES)
        and not name.startswith(".")
        and not path.startswith("__MACOSX/")
    )
