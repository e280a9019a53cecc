"""The package of all Iconify icon sets: its download and its reader."""

import gzip
import json
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
import zlib

from figr_jax.common.errors import BadInput
from figr_jax.data.builders import originals, sources

VERSION = "2.2.535"  # of the package that is downloaded

_NPM = "@iconify/json"
_ARCHIVE = f"icon-sets-{VERSION}.tar.gz"
_URL = f"https://github.com/iconify/icon-sets/archive/refs/tags/{VERSION}.tar.gz"
_FILE = re.compile(r"(iconify-json-.*|icon-sets-.*|v?\d+\.\d+\.\d+)\.(tgz|tar\.gz|zip)")
_MEMBER = re.compile(r"[^/]+/json/[^/]+\.json")


def find(manual_dir, dl_manager):
    """Finds or downloads the package, by npm if it is installed, or from GitHub.

    Args:
      manual_dir: folder with a file of `npm pack @iconify/json`, or with an archive of
        github.com/iconify/icon-sets; the newest is taken. None to download.
      dl_manager: `tfds.download.DownloadManager`.

    Returns:
      `pathlib.Path` of the archive.

    Raises:
      BadInput: if it is not in the manual directory, or cannot be downloaded.
    """
    if manual_dir:
        return _find_newest(pathlib.Path(manual_dir))
    packed = (
        _pack(pathlib.Path(dl_manager.download_dir)) if shutil.which("npm") else None
    )
    if packed:
        return packed
    try:
        return originals.find({_ARCHIVE: _URL}, None, dl_manager)[0]
    except BadInput as error:
        raise BadInput(f"{error}, or by `npm pack {_NPM}` in that folder") from error


def _find_newest(folder):
    paths = folder.iterdir() if folder.is_dir() else ()
    paths = [path for path in paths if _FILE.fullmatch(path.name)]
    if not paths:
        raise BadInput(
            f"{folder}: no iconify-json-*.tgz in it: run `npm pack {_NPM}` there, or "
            f"put {_ARCHIVE} there, from {_URL}"
        )
    return max(paths, key=lambda path: (_version(path.name), path.name))


def _version(name):
    return [int(number) for number in re.findall(r"\d+", name)]


def _pack(folder):
    """Downloads a package by npm into the folder; returns None if that fails."""
    path = folder / f"iconify-json-{VERSION}.tgz"
    if path.is_file():
        return path
    print(f"downloading {_NPM}@{VERSION} by npm", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    # A temporary folder, so that no incomplete file has the final name.
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        npm = subprocess.run(
            ["npm", "pack", f"{_NPM}@{VERSION}"],
            cwd=inside,
            capture_output=True,
            text=True,
        )
        packed = list(pathlib.Path(inside).glob("*.tgz"))
        if npm.returncode or not packed:
            reason = " ".join(npm.stderr.split())[:200]
            print(f"npm failed ({reason}); trying GitHub", flush=True)
            return None
        return packed[0].replace(path)


def read_sets(path):
    """Yields the icon sets of a package, each as the content of its JSON file.

    It unpacks nothing to disk, and holds one set in memory at a time.

    Raises:
      BadInput: if it is truncated, has a member outside of itself, or no icon sets.
    """
    count = 0
    try:
        for name, data in _read_members(path):
            count += 1
            yield _parse(path, name, data)
    except (
        OSError,
        EOFError,
        zlib.error,
        tarfile.TarError,
        zipfile.BadZipFile,
        RuntimeError,  # an encrypted zip
    ) as error:
        raise BadInput(
            f"{path}: not a valid .tgz or zip archive ({error}); download it again"
        ) from error
    if not count:
        raise BadInput(f"{path}: no icon sets (json/<set>.json) in it; give {_NPM}")


def _parse(path, name, data):
    try:
        content = json.loads(data)
    except ValueError as error:
        raise BadInput(f"{path}: {name} is not JSON ({error})") from error
    if not isinstance(content, dict) or not {"prefix", "info", "icons"} <= set(content):
        raise BadInput(f"{path}: {name} is not an icon set with prefix, info and icons")
    return content


def _read_members(path):
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    return _read_zip(path) if is_zip else _read_tar(path)


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            sources.refuse_to_leave(path, name)
        for name in filter(_MEMBER.fullmatch, archive.namelist()):
            yield name, archive.read(name)


def _read_tar(path):
    # Decompressed by gzip, since tarfile accepts some truncated archives.
    with gzip.open(path) as file, tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            sources.refuse_to_leave(path, member.name)
            if member.isfile() and _MEMBER.fullmatch(member.name):
                yield member.name, archive.extractfile(member).read()
        while file.read(1 << 20):  # the checksum is at the end
            pass
