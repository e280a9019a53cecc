"""The data sets by name, and their preparation."""

import contextlib
import importlib
import multiprocessing
import pathlib
import shutil

from google.protobuf import json_format

from figr_jax.common import files
from figr_jax.common.errors import BadInput, FailedWork

# Data sets whose licence permits redistribution of single images, as in a checkpoint.
SHAREABLE = ("glyphs", "mnist", "omniglot", "open_icons", "open_icons/colour")
# Builders import tensorflow-datasets, which is slow: each is imported when needed.
_BUILDERS = {
    "glyphs": "figr_jax.data.builders.glyphs.glyphs:Glyphs",
    "mnist": "figr_jax.data.builders.mnist.mnist:Mnist",
    "omniglot": "figr_jax.data.builders.omniglot.omniglot:Omniglot",
    "figr8": "figr_jax.data.builders.figr8.figr8:Figr8",
    "open_icons": "figr_jax.data.builders.open_icons.open_icons:OpenIcons",
}
ALLOWED = (
    f"one of {', '.join(_BUILDERS)}, folder:PATH (one folder of images per class), "
    "drawings:PATH (the same, the images prepared like those given to sample), "
    "tfds:NAME (a prepared set of tensorflow-datasets), or mix:NAME,NAME (several)"
)


def is_name(name):
    """Returns whether `name` has the form of a data set's name."""
    kind, _, rest = name.partition(":")
    if kind == "mix":
        return all("mix:" not in part and is_name(part) for part in parts(name))
    return name.partition("/")[0] in _BUILDERS or (
        kind in ("folder", "drawings", "tfds") and rest
    )


def parts(name):
    """Splits a name into data sets: several for `mix:NAME,NAME`."""
    kind, _, rest = name.partition(":")
    return rest.split(",") if kind == "mix" else [name]


def is_own(name):
    """Returns whether a data set's name is that of a user's folder."""
    return name.partition(":")[0] in ("folder", "drawings")


def resolve(name):
    """Makes the path in the name of a user's folder absolute.

    Raises:
      BadInput: if no folder can have that path.
    """
    kind, _, rest = name.partition(":")
    if kind == "mix":
        return "mix:" + ",".join(map(resolve, parts(name)))
    if not is_own(name):
        return name
    try:
        return f"{kind}:{pathlib.Path(rest).expanduser().resolve()}"
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"{name!r}: no such folder ({error})") from error


def check_mix(name, data_dir=None):
    """Checks that all data sets of a mix are grey, or all in colour.

    Users' folders are not checked: they are read with the channels of the bank.

    Args:
      name: see `ALLOWED`.
      data_dir: as in `prepare`.

    Raises:
      BadInput: if they differ, or one is not known, or its prepared data is damaged.
    """
    named = [part for part in parts(name) if not is_own(part)]
    kinds = {part: _find_kind(_open(part, data_dir)) for part in named}
    if len(set(kinds.values())) > 1:
        found = ", ".join(f"{part} is {kind}" for part, kind in kinds.items())
        raise BadInput(f"{name}: {found}; mix grey data sets, or coloured ones")


def _find_kind(builder):
    import tensorflow_datasets as tfds

    channels = {
        feature.shape[-1]
        for feature in builder.info.features.values()
        if isinstance(feature, tfds.features.Image)
    }
    return "grey" if channels == {1} else "in colour"


def prepare(name, data_dir=None, manual_dir=None, kind=None):
    """Opens a data set; prepares it if needed, and shows the progress.

    Args:
      name: see `ALLOWED`; `NAME/CONFIG` is one of several variants.
      data_dir: where prepared data sets live; TFDS's own default if None.
      manual_dir: folder of the original files; None to download them.
      kind: `bank_files.Kind` of the bank that the caller will build, if any.

    Returns:
      A `tfds.core.DatasetBuilder` that can be read.

    Raises:
      BadInput: if there is no such data set, or it cannot be prepared.
      OSError: if its folder cannot be written.
    """
    builder = _open(name, data_dir)
    if _is_ready(builder):
        return builder
    folder = builder.data_path
    with lock(builder):
        builder = _open(name, data_dir)
        if _is_ready(builder):  # another process has just prepared it
            return builder
        # Left by a killed process: nobody else writes under the lock.
        for old in folder.parent.glob(f"incomplete.*_{folder.name}"):
            shutil.rmtree(old, ignore_errors=True)
        with _set_aside(folder):
            builder = _open(name, data_dir)  # without the state of the old one
            builder.manual_dir, builder.kind = manual_dir, kind
            print(f"preparing {builder.info.full_name}, once", flush=True)
            builder.download_and_prepare()
    return builder


@contextlib.contextmanager
def _set_aside(folder):
    """Moves a stale folder away, and back if its replacement fails."""
    aside = folder.with_name(f"incomplete.before_{folder.name}")
    if folder.exists():
        folder.rename(aside)
    try:
        yield
    except BaseException:
        if aside.exists():
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def edition(builder):
    """Returns the version of a data set, with a digest of its content if known."""
    return getattr(builder, "edition", str(builder.version))


@contextlib.contextmanager
def lock(builder):
    """Locks a data set's folder against other processes; waits for them if needed.

    Raises:
      FailedWork: in a worker process that runs the user's script again.
    """
    # The same test as in multiprocessing. The worker would wait for its parent forever.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise FailedWork(
            f"preparing {builder.name} starts processes: guard the script with "
            "`if __name__ == '__main__':`, or run python -m figr_jax.prepare before it"
        )
    folder = files.make_folder(builder.data_path.parent, "--data_dir")
    with files.lock(folder / ".lock", f"{builder.name}: another process prepares it"):
        yield


def _open(name, data_dir):
    """Returns the builder of a data set, with the info of its prepared data if any."""
    try:
        builder = _make_builder(name, data_dir)
        _ = builder.info.metadata  # TFDS reads the file on first use
        return builder
    except (TypeError, ValueError, json_format.ParseError) as error:
        raise BadInput(
            f"{name}: its prepared data is damaged ({' '.join(str(error).split())}); "
            f"remove its folder in {data_dir or 'the folder of TFDS'} and prepare it "
            "again"
        ) from error


def _make_builder(name, data_dir):
    kind, _, rest = name.partition(":")
    if not is_name(name):
        raise BadInput(f"unknown data set {name!r}: must be {ALLOWED}")
    if kind == "tfds":
        return _find_prepared(rest, data_dir)
    if is_own(name):
        from figr_jax.data.builders.folder.folder import Folder

        return Folder(path=rest, data_dir=data_dir)
    name, _, variant = name.partition("/")
    module, _, attribute = _BUILDERS[name].partition(":")
    make = getattr(importlib.import_module(module), attribute)
    if variant and variant not in make.builder_configs:
        variants = ", ".join(make.builder_configs) or "no variants"
        raise BadInput(f"{name}/{variant}: no such variant; {name} has {variants}")
    return make(data_dir=data_dir, config=variant or None)


def _find_prepared(name, data_dir):
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import read_only_builder

    try:
        builder = read_only_builder.builder_from_files(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise BadInput(
            f"tfds:{name}: not found in {data_dir or 'the folder of TFDS'}; "
            f"{_hint(name)}"
        ) from error
    suffix = builder.info.file_format.file_suffix
    if suffix != "array_record":
        raise BadInput(
            f"tfds:{name}: prepared as {suffix}, which needs TensorFlow to be read; "
            f"{_hint(name)}"
        )
    return builder


def _hint(name):
    return (
        "prepare it once where TensorFlow is installed (`pip install tensorflow "
        f"tensorflow-datasets`), with `tfds build {name} --file_format=array_record "
        "--data_dir=DIR`, and give that --data_dir"
    )


def _is_ready(builder):
    return builder.is_prepared() and not getattr(builder, "is_stale", False)
