"""The pictures that a command leaves in a folder: it replaces these and no others.

A list of names and checksums in the folder tells what earlier calls wrote there, so
that nothing of the user's is deleted or overwritten.
"""

import json
import pathlib
import zlib

from figr_jax import files
from figr_jax.errors import BadInput

LIST = "written.json"


def find_ours(folder):
    """Returns the names of a folder's files that are as a command wrote them."""
    try:
        listed = json.loads(pathlib.Path(folder, LIST).read_text())["files"]
        return {
            name
            for name, checksum in listed.items()
            if zlib.crc32(pathlib.Path(folder, name).read_bytes()) == checksum
        }
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return set()


def check(folder, names, flag):
    """Checks that writing files would overwrite nothing of the user's.

    Raises:
      BadInput: if a file of one of the names is not `find_ours`.
    """
    ours = find_ours(folder)
    for name in names:
        path = pathlib.Path(folder, name)
        if path.exists() and name not in ours:
            raise BadInput(
                f"{flag}={folder}: {name} is there already and was not written by this "
                "command; give another folder"
            )


def write(folder, contents):
    """Writes files in place of those that an earlier call wrote.

    Args:
      folder: exists.
      contents: dict: name to bytes. Check the names before.
    """
    folder = pathlib.Path(folder)
    for name in find_ours(folder) - contents.keys():
        (folder / name).unlink()
    for name, data in contents.items():
        files.write_bytes(folder / name, data)
    checksums = {name: zlib.crc32(data) for name, data in contents.items()}
    files.write_json(folder / LIST, {"files": checksums})
