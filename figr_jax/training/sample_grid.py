"""Sample grids: held-out classes as in the paper's figures."""

import jax
import numpy as np

from figr_jax import generation
from figr_jax.common import pictures
from figr_jax.common.errors import say
from figr_jax.data import episodes

GRID_CLASSES = 4  # held-out classes next to each other in a sample grid
GRID_ROWS = 3  # rows of generated images under each support, as in the paper


def write(workdir, state, info, bank, heldout):
    """Writes `samples/<step>.png` into a run's folder.

    Args:
      workdir: `pathlib.Path`, the run's folder.
      state: `reptile.ReptileState`.
      info: record of the run, see `record.make_info`.
      bank: `bank.Bank`.
      heldout: `[held out]` class indices.
    """
    model = generation.FewShotGenerator(of_one_device(state.slow), info)
    shots, seed = model.config.inner.shots, model.config.run.seed
    heldout = spread(episodes.large_enough(bank, heldout, shots), GRID_CLASSES)
    if not len(heldout):
        say(f"no sample grid: no held-out class has {shots} images")
        return
    say(f"sampling {len(heldout)} held-out classes (compiles the first time)")
    panels = []
    for index in heldout:
        support = episodes.support(bank, index, shots, seed)
        generated = model.adapt(support, seed).generate(GRID_ROWS * shots, seed)
        panels.append(pictures.panel(support, generated, columns=shots))
    path = workdir / "samples" / f"{int(state.step)}.png"
    path.parent.mkdir(exist_ok=True)
    pictures.save(path, pictures.side_by_side(panels))
    say(f"wrote {path}")


def spread(classes, count):
    """Returns at most `count` classes, evenly spaced over all data sets of a mix."""
    chosen = np.linspace(0, len(classes) - 1, min(count, len(classes))).round()
    return classes[chosen.astype(int)]


def of_one_device(tree):
    """Returns the first local copy of arrays that are replicated over a mesh."""
    return jax.tree.map(lambda x: x.addressable_data(0), tree)
