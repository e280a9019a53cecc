"""The models that the studio offers, by name."""

import functools
import itertools
import json
import pathlib
import threading

import numpy as np

from figr_jax import build, checkpoints, generation, kinds, recipe, shipped
from figr_jax.common.errors import BadInput
from figr_jax.data import drawings, inputs

RUNS = "runs"
DEFAULT = "sketch-32"  # of the shipped weights, for drawings of anything
_KEPT = 3  # models that stay loaded
METRICS = ("recognizability", "diversity", "kid", "pooled_copying")  # of a report


def find(paths=()):
    """Finds models by name: folders of runs, and shipped weights.

    Args:
      paths: runs or shipped weights; if empty, every run under `RUNS`, the newest
        first, and all shipped weights.

    Returns:
      A dict: name to path.

    Raises:
      BadInput: if there is no model.
    """
    if not paths:
        folders = pathlib.Path(RUNS).glob("*/snapshots")
        newest = sorted(folders, key=lambda x: x.stat().st_mtime, reverse=True)
        paths = [path.parent for path in newest if checkpoints.list_steps(path)]
        paths += sorted(shipped.names(), key=lambda name: (name != DEFAULT, name))
    if not paths:
        raise BadInput(
            "no trained model: give one with --checkpoint, or train one in about two "
            "minutes: python -m figr_jax.main --config=configs/quickstart.py"
        )
    models = {}
    for path in map(str, paths):
        name = _name(pathlib.Path(path).resolve())
        numbered = (f"{name} ({number})" for number in itertools.count(2))
        names = itertools.chain([name], numbered)
        name = next(n for n in names if models.get(n, path) == path)
        models[name] = path
    return models


def _name(path):
    """Returns the name of a run or of a snapshot."""
    is_snapshot = path.parent.name == "snapshots"
    return f"{path.parent.parent.name} {path.name}" if is_snapshot else path.name


class Model:
    """A model that the studio offers.

    Attributes:
      name: name in the page and in the API.
      generator: `generation.FewShotGenerator`.
      examples: dict: name of a held-out class to `[n, H, W, C]` uint8.
    """

    def __init__(self, name, path):
        """Loads a model from a path of `find`."""
        self.name = name
        self.generator = generation.load(path)
        channels = self.generator.networks.channels
        self.examples = {
            label: np.stack([recipe.decode(text, channels) for text in texts])
            for label, texts in self.generator.info.get("examples", {}).items()
        }
        report = self.generator.info.get("report")
        self._report = report or read_report(f"{path}/report")

    def prepare(self, originals):
        """Prepares images for the model and finds their faults.

        Args:
          originals: list of `[H, W, C]` uint8, of any size.

        Returns:
          `drawings.Prepared`, and a list of warnings about the images.
        """
        size, style = self.generator.networks.image_size, self.generator.style
        prepared = drawings.prepare(originals, size, style)
        names = [f"image {number}" for number in range(1, len(originals) + 1)]
        return prepared, inputs.find_faults(prepared, names, style, kinds.find_odd)

    def warm_up(self):
        """Compiles adaptation and generation for the number of shots in training."""
        networks, config = self.generator.networks, self.generator.config
        size = networks.image_size, networks.image_size, networks.channels
        support = np.zeros((config.inner.shots, *size), np.uint8)
        self.generator.adapt(support).generate(1)

    def card(self):
        """Returns facts about the model, a dict for JSON."""
        info, config = self.generator.info, self.generator.config
        return {
            "name": self.name,
            "snapshot": recipe.identify(self.generator),
            "dataset": config.dataset.name,
            "image_size": config.dataset.image_size,
            "channels": config.dataset.channels,
            "shots": config.inner.shots,
            "inner_steps": build.sampling(config).inner.steps,
            "best_of": config.sampling.best_of,
            "latent": config.networks.latent,
            "networks": f"{config.networks.family}, width {config.networks.width}",
            "meta_steps": info.get("step"),
            "licence": info.get("licence", ""),
            "heldout_classes": len(info["split"]["heldout"]),
            "examples": len(self.examples),
            "background": info["background"],
            "report": self._report,
        }


def read_report(folder):
    """Reads the figures of a report, a dict for JSON; None if there is no report."""
    try:
        report = json.loads(pathlib.Path(folder, "report.json").read_text())
        return {
            "snapshot": report["checkpoint"]["snapshot"],
            "classes": len(report["classes"]),
            "date": report["provenance"]["date"],
            "arms": {
                name: {metric: arm[metric] for metric in METRICS if metric in arm}
                for name, arm in report["arms"].items()
            },
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # no report, or one of another version


class Shelf:
    """Cache of models by name: loads them on first use and keeps the last few."""

    def __init__(self, folders):
        """Takes the result of `find`."""
        self.names, self._lock = list(folders), threading.Lock()
        load = functools.lru_cache(_KEPT)
        self._load = load(lambda name: Model(name, folders[name]))

    def get(self, name):
        """Returns the `Model` with this name.

        Raises:
          KeyError: if there is no such model.
          BadInput: if the model cannot be used.
          FailedWork: if its files are damaged.
        """
        with self._lock:
            return self._load(name)
