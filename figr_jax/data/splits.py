"""Training classes, tuning classes and report classes: chosen once, by name."""

import hashlib
import unicodedata
from typing import NamedTuple

import numpy as np

from figr_jax.common.errors import BadInput
from figr_jax.data import datasets

REPORTED = 50  # report classes of a data set, at most
_FEWEST = 20  # held-out classes of a data set, of which some are for tuning


class Split(NamedTuple):
    """The held-out classes of a data set, by name. All others are training classes.

    Attributes:
      dataset: name of the data set.
      version: of the data set.
      heldout: names of the classes that meta-training never sees.
      report: those of them that reports measure. Nothing may be chosen by them. Empty
        in what was stored before there were any: `of_bank` adds them.
    """

    dataset: str
    version: str
    heldout: tuple[str, ...]
    report: tuple[str, ...] = ()

    @property
    def tuning(self):
        """Names of the held-out classes that configs and settings are chosen by."""
        return tuple(name for name in self.heldout if name not in set(self.report))

    def indices(self, names):
        """Returns the indices of the training and the held-out classes.

        Args:
          names: names of all classes.

        Returns:
          Two int32 arrays, `[training classes]` in the order of `names` and
          `[held-out classes]` in the order of `heldout`.

        Raises:
          BadInput: if a held-out class is not among `names`.
        """
        heldout = self.find(self.heldout, names)
        training = np.setdiff1d(np.arange(len(names), dtype=np.int32), heldout)
        return training, heldout

    def find(self, wanted, names):
        """Finds classes by name.

        Args:
          wanted: names to find.
          names: names of all classes.

        Returns:
          `[len(wanted)]` int32, their indices in `names`.

        Raises:
          BadInput: if one is not among `names`.
        """
        index = {normalize(name): i for i, name in enumerate(names)}
        missing = [name for name in wanted if normalize(name) not in index]
        if missing:
            raise BadInput(f"held-out class {missing[0]!r} is not in {self.dataset}")
        return np.array([index[normalize(name)] for name in wanted], np.int32)

    def of_bank(self, bank):
        """Returns the split for a bank, and checks that it is of the same version.

        Args:
          bank: `bank.Bank` of the split's data set, or of one data set of its mix.

        Returns:
          A `Split` with report classes; of a mix, with the bank's classes alone.

        Raises:
          BadInput: if the bank is of another data set or version.
        """
        split = self._narrow(bank)
        return split._replace(report=split.report or choose_report(bank, split))

    def _narrow(self, bank):
        """Does `of_bank` without the report classes."""
        split, names = self, datasets.parts(self.dataset)
        if self.version == bank.version and is_moved(self.dataset, bank.dataset):
            return self._replace(dataset=bank.dataset)
        if bank.dataset != self.dataset:
            if bank.dataset not in names:
                raise BadInput(f"{bank.dataset}: must be {' or '.join(names)}")
            known = set(bank.names)
            split = Split(
                bank.dataset,
                self.version.split(",")[names.index(bank.dataset)],
                tuple(name for name in self.heldout if name in known),
                tuple(name for name in self.report if name in known),
            )
        if split.version != bank.version and datasets.is_own(bank.dataset):
            raise BadInput(
                f"{bank.dataset}: its images have changed since the model was trained "
                f"({split.version} then, {bank.version} now); put them back, or train "
                "a new run from these weights: --config.run.init_from=RUN with another "
                "--workdir"
            )
        if split.version != bank.version:
            raise BadInput(
                f"{bank.dataset} {bank.version} is prepared, the checkpoint was "
                f"trained on {split.version}; give that one's --data_dir"
            )
        return split


def normalize(name):
    """A class name in the form NFC: systems differ in how they write accents."""
    return unicodedata.normalize("NFC", name)


def is_moved(before, now):
    """Returns whether two names can be those of one folder before and after a move."""
    return (
        before != now
        and datasets.is_own(before)
        and before.partition(":")[0] == now.partition(":")[0]
    )


_WEAK = ("character01", "character02", "character03")
ALLOWED = (
    "random, random:COUNT (of the classes with at least COUNT images), alphabets (the "
    "evaluation set of omniglot), weak (the first three characters of each of its "
    "alphabets) or classes:NAME,NAME"
)


def is_rule(rule):
    """Returns whether `rule` is one of `ALLOWED`."""
    kind, _, rest = rule.partition(":")
    return (
        rule in ("random", "alphabets", "weak")
        or (kind == "classes" and rest)
        or (kind == "random" and rest.isdecimal())
    )


def choose(bank, rule, heldout, seed):
    """Chooses the held-out classes.

    Of a mix, each data set by itself: `alphabets` and `weak` apply to those that have
    alphabets, `random` to the others.

    Args:
      bank: `bank.Bank`.
      rule: `random`; `random:COUNT` for random classes with at least COUNT images;
        `alphabets` for Omniglot's own evaluation set (Lake et al. 2015);
        `weak` for three characters of each alphabet, 150 in all (Boutin et al. 2022,
        "Diversity vs. recognizability"); `classes:NAME,NAME` for these.
      heldout: how many of a data set, if `random`.
      seed: of the draw, if `random`.

    Returns:
      A `Split`.

    Raises:
      BadInput: if no class would be left to train on, if too few classes have COUNT
        images, or if the data set has no alphabets or no class of that name.
    """
    kind, _, rest = rule.partition(":")
    if kind == "classes":
        chosen = tuple(dict.fromkeys(name.strip() for name in rest.split(",")))
    elif kind != "random" and "alphabet" not in bank.attributes:
        raise BadInput(
            f"--config.dataset.split={rule!r}: {bank.dataset} has no alphabets, only "
            "omniglot has"
        )
    else:
        chosen = ()
        least = int(rest or 0)
        for name in datasets.parts(bank.dataset):
            chosen += _choose_from(bank, name, kind, least, heldout, seed)
    split = Split(bank.dataset, bank.version, chosen)
    training, _ = split.indices(bank.names)
    if not len(training):
        asked = heldout if kind == "random" else len(chosen)
        raise BadInput(
            f"{bank.dataset}: to hold out {asked} of {len(bank.names)} classes leaves "
            "none to train on (--config.dataset.heldout, --config.dataset.split)"
        )
    return split._replace(report=choose_report(bank, split))


def choose_report(bank, split):
    """Chooses the report classes: half of each data set, at most `REPORTED`.

    Of fewer than `_FEWEST` held-out classes all: too few for two sets.

    Args:
      bank: `bank.Bank`.
      split: `Split` of the bank.

    Returns:
      A tuple of names.
    """
    _, heldout = split.indices(bank.names)
    sets, chosen = bank.sets, []
    for dataset in datasets.parts(bank.dataset):
        own = [i for i in np.sort(heldout) if sets[i] == dataset]
        half = min(REPORTED, (len(own) + 1) // 2)
        order = np.random.default_rng(0).permutation(len(own))
        some = order[: half if len(own) >= _FEWEST else None]
        chosen += [bank.names[own[i]] for i in np.sort(some)]
    return tuple(chosen)


def _choose_from(bank, dataset, kind, least, heldout, seed):
    """Chooses held-out classes of one data set of a bank."""
    own = [i for i, name in enumerate(bank.sets) if name == dataset]
    names = [bank.names[i] for i in own]
    has_alphabets = (
        "alphabet" in bank.attributes and bank.attributes["alphabet"][own[0]]
    )
    if kind == "random" or not has_alphabets:
        counts = np.diff(bank.class_start)
        large = [bank.names[i] for i in own if counts[i] >= max(1, least)]
        if least and len(large) < heldout:
            raise BadInput(
                f"--config.dataset.split='random:{least}': {dataset} has {len(large)} "
                f"classes with at least {least} images, {heldout} are to be held out; "
                "lower the number or --config.dataset.heldout"
            )
        return draw(large, heldout, seed)
    if kind == "alphabets":
        belongs = bank.attributes["set"]
        return tuple(bank.names[i] for i in own if belongs[i] == "evaluation")
    return tuple(name for name in names if name.endswith(_WEAK))


def draw(names, heldout, seed):
    """Draws names.

    The order of a hash of seed and name decides: it depends on no library's generator
    and on no other name, so a data set may grow without a reshuffle.

    Args:
      names: to choose from.
      heldout: how many.
      seed: of the draw.

    Returns:
      Tuple of names.
    """

    def rank(name):
        return hashlib.sha256(f"{seed}/{name}".encode()).digest()

    return tuple(sorted(names, key=rank)[:heldout])
