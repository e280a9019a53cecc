"""Plots of metrics.jsonl: one per quantity, with one line per run."""

import json
import pathlib

from figr_jax.common import files, outputs, pictures
from figr_jax.common.errors import BadInput
from figr_jax.data import images
from figr_jax.evaluation import light


def read(workdir):
    """Reads the records of a run, by quantity.

    Args:
      workdir: the run's folder.

    Returns:
      A dict: name of a quantity to a list of (meta-step, value).

    Raises:
      BadInput: if there is nothing to read.
    """
    path, series = pathlib.Path(workdir) / "metrics.jsonl", {}
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise BadInput(
            f"--curves={workdir}: no run is there: {path.name}: {error.strerror}"
        ) from error
    for line in lines:
        try:
            record = json.loads(line)
            step = record.pop("step")
        except (ValueError, KeyError, AttributeError, TypeError):
            continue  # being written, or damaged
        for name, value in record.items():
            if isinstance(value, int | float):
                series.setdefault(name, []).append((step, value))
    if not series:
        raise BadInput(f"--curves={workdir}: {path.name} holds no record yet")
    return series


def plot(workdirs, out):
    """Plots the metrics of several runs.

    Args:
      workdirs: their folders.
      out: the folder that gets `curves.png`.

    Returns:
      `pathlib.Path` of the picture.

    Raises:
      BadInput: see `read`.
    """
    lines = {}
    for workdir in workdirs:
        for name, points in read(workdir).items():
            exact = [(step, value, value, value) for step, value in points]
            lines.setdefault(name, {})[str(workdir)] = exact
    # The metrics of images before the losses.
    names = sorted(lines, key=lambda name: name.split("/")[-1] not in light.METRICS)
    lines = {_words(name): lines[name] for name in names}
    # With several runs, a legend names them.
    title = str(workdirs[0]) if len(workdirs) == 1 else ""
    out = files.make_folder(out, "--out")
    outputs.check(out, ["curves.png"], "curves", "--out")
    drawn = images.encode(pictures.curves(lines, "meta-step", title))
    outputs.write(out, {"curves.png": drawn}, "curves")
    return out / "curves.png"


def _words(name):
    """Writes the name of a quantity in words; the name of its data set stays."""
    dataset, slash, quantity = name.rpartition("/")
    return dataset + slash + quantity.replace("_", " ")
