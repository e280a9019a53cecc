"""The report of a checkpoint: every metric, controls, pictures."""

from typing import NamedTuple

import jax
import numpy as np

from figr_jax import (
    build,
    files,
    generation,
    networks,
    pictures,
    provenance,
    recipe,
)
from figr_jax.data import bank as banks
from figr_jax.errors import BadInput, say
from figr_jax.evaluation import (
    controls,
    embedding,
    judging,
    presentation,
    samples,
    supports,
)

CURVE_STEPS = (0, 1, 2, 5, 10, 20, 50)
CURVE_SHOTS = (1, 2, 4, 8)
SCRATCH_STEPS = 1000
_SHEET_CLASSES = 8
_RANKED = 5  # best and worst classes that are shown


class Options(NamedTuple):
    """Options of a report.

    Attributes:
      draws: of supports for each class.
      count: images to draw of each class.
      classes: how many held-out classes, chosen by seed; 0: all.
      curve_classes: how many of them the curves are of; 0: no curves.
      scratch: for how many of them a GAN is trained from scratch.
      seed: of every random draw.
      metrics: names of those in the table, see `presentation.METRICS`.
    """

    draws: int = 3
    count: int = 64
    classes: int = 0
    curve_classes: int = 20
    scratch: int = 2
    seed: int = 0
    metrics: tuple[str, ...] = tuple(presentation.METRICS)


class _Work(NamedTuple):
    """Inputs that all parts of a report share."""

    model: generation.FewShotGenerator
    joint: generation.FewShotGenerator | None
    random: networks.GanParams  # weights that no training has touched
    bank: banks.Bank
    training: np.ndarray  # class indices, as the next two
    eligible: np.ndarray
    classes: np.ndarray
    judge: judging.Judge
    images: samples.Images
    options: Options

    @property
    def shots(self):
        return self.model.config.inner.shots

    @property
    def inner(self):
        return build.sampling(self.model.config)

    def draw_supports(self, classes, shots, seed):
        return supports.draw_supports(self.bank, classes, shots, seed, self.eligible)

    def adapt(self, name, slow, inner, draw, seed, at=None):
        """Returns the images and seconds of `samples.adapt_and_draw`, cached."""
        is_joint = self.joint and slow is self.joint.slow
        what = [name, inner.steps, at, seed, is_joint and self.joint.info["checksums"]]

        def run():
            drawn, seconds = samples.adapt_and_draw(
                *(self.model.networks, inner, slow, draw.supports, seed),
                *(self.options.count, at),
                what=name,
            )
            return {"images": drawn, "seconds": np.array(seconds)}

        return self.images.get(f"{name}-{inner.steps}", what, draw.supports, run)

    def summarize(self, sets, draw, k=None):
        """Summarizes one draw, see `judging.judge_all`."""
        values = judging.judge_all(self.judge, [sets], [draw], k)
        return judging.summary(values, self.options.seed)


def make(model, bank, out, options, joint=None):
    """Makes the report.

    Args:
      model: `generation.FewShotGenerator`.
      bank: `bank.Bank` of its data set.
      out: folder, made if need be, which gets `report.json`, `report.md`, pictures,
        and the images themselves, so that a report that was stopped goes on.
      options: `Options`.
      joint: a `FewShotGenerator` that was trained with one inner step, or None.

    Returns:
      The dict of `report.json`.

    Raises:
      BadInput: if there are too few held-out classes or images, or an option or a
        model does not fit.
    """
    _check(model, joint, options)
    split = model.split(bank)
    training, heldout = split.indices(bank.names)
    eligible = supports.find_eligible(bank, heldout, model.config.inner.shots)
    ways = min(judging.WAYS, len(eligible))
    if ways < judging.WAYS:
        say(f"recognizability is {ways}-way: no more held-out classes can be judged")
    out = files.make_folder(out, "--out")
    embeddings = embedding.load_all(bank, split)
    work = _Work(
        *(model, joint, jax.jit(model.networks.init)(jax.random.key(options.seed))),
        *(bank, training, eligible),
        supports.choose(eligible, options.classes, options.seed),
        judging.Judge(*embeddings),
        samples.Images(out / "images", model, options.seed, options.count),
        options,
    )
    states = np.random.SeedSequence(options.seed).generate_state(options.draws)
    seeds = [int(state >> 1) for state in states]  # keys of jax have 31 bits for it
    draws = [work.draw_supports(work.classes, work.shots, seed) for seed in seeds]
    drawn, seconds = _draw_arms(work, draws, seeds)
    arms = {}
    for name, sets in drawn.items():
        say(f"judging: {name}")
        arms[name] = judging.judge_all(work.judge, sets, draws)
    names = [bank.names[c] for c in work.classes]
    right = arms["model"]["recognizability"].mean(0)
    shown = _choose_shown(right, options.seed)
    result = {
        "checkpoint": {
            "snapshot": recipe.identify(model),
            "meta_steps": model.info.get("step"),
            "dataset": bank.dataset,
            "version": bank.version,
            "figr_jax": model.info["version"],
            "config": model.info["config"],
        },
        "joint": joint and recipe.identify(joint),
        "options": options._asdict(),
        "classes": names,
        "ways": ways,
        "neighbours": judging.neighbours(draws),
        "embeddings": {e.record["kind"]: e.record for e in embeddings},
        "arms": {
            name: judging.summary(arm, options.seed) for name, arm in arms.items()
        },
        "model_less_jittered": judging.compare(
            arms["model"], arms["support jittered"], options.seed
        ),
        "recognizability_of_classes": dict(zip(names, right, strict=True)),
        "shown": {which: [names[i] for i in rows] for which, rows in shown.items()},
        "seconds_per_class": seconds,
        "curves": _curves(work) if options.curve_classes else {},
        "provenance": provenance.describe(),
    }
    if options.scratch:
        k = result["neighbours"]
        result["arms"] |= _from_scratch(work, seeds[0], drawn["model"][0], k)
    for which, rows in shown.items():
        given, generated = draws[0].supports[rows], drawn["model"][0][rows]
        sheet = presentation.draw_sheet(work.judge, given, generated)
        pictures.save(out / f"{which}_classes.png", sheet)
    presentation.write_plots(out, result)
    files.write_json(out / "report.json", result)
    files.write_bytes(out / "report.md", presentation.write_table(result).encode())
    return result


def _check(model, joint, options):
    if options.classes == 1:
        raise BadInput("--classes=1: at least 2 are needed to tell one from another")
    if options.curve_classes == 1:
        raise BadInput("--curve_classes=1: at least 2 are needed, or 0 for no curves")
    known = presentation.METRICS
    if unknown := [name for name in options.metrics if name not in known]:
        raise BadInput(
            f"--metrics={unknown[0]}: no such metric; there are {', '.join(known)}"
        )
    if not joint:
        return
    if joint.networks != model.networks or joint.info["split"] != model.info["split"]:
        raise BadInput("--joint: must have the same networks and split as --checkpoint")
    if joint.config.inner.steps != 1:
        raise BadInput(
            f"--joint: was trained with {joint.config.inner.steps} inner steps; joint "
            "training is --config.inner.steps=1"
        )


def _draw_arms(work, draws, seeds):
    """Generates the images of every arm.

    Args:
      work: `_Work`.
      draws: list of `supports.Draw`.
      seeds: of them.

    Returns:
      A dict: name of an arm to, for each draw and class, `[m, H, W, C]` uint8; and the
      seconds that the model took a class.
    """
    sources = {"model": work.model.slow, "random weights": work.random}
    if work.joint:
        sources["joint training"] = work.joint.slow
    drawn, seconds = {name: [] for name in sources}, []
    # A class of one image has no spread.
    training = work.training[np.diff(work.bank.class_start)[work.training] > 1]
    known = controls.embed_classes(work.judge, work.bank, training)
    for draw, seed in zip(draws, seeds, strict=True):
        for name, slow in sources.items():
            made = work.adapt(name, slow, work.inner, draw, seed)
            drawn[name].append(made["images"][:, 0])
            if name == "model":
                seconds.append(float(made["seconds"]))
        made = controls.make_controls(
            *(work.judge, draw, work.bank, training, known, work.options.count, seed)
        )
        for name, sets in made.items():
            drawn.setdefault(name, []).append(sets)
    return drawn, float(np.median(seconds))


def _choose_shown(right, seed):
    """Chooses the classes to show, by recognizability: a dict of rows."""
    order = np.random.default_rng(seed).permutation(len(right))
    ranked = np.argsort(-right, kind="stable")
    return {
        "random": order[:_SHEET_CLASSES],
        "best": ranked[:_RANKED],
        "worst": ranked[::-1][:_RANKED],
    }


def _curves(work):
    """Metrics against inner steps and against shots, of one draw of some classes.

    Args:
      work: `_Work`.

    Returns:
      A dict: name of what varies to `model`, a dict of its summaries, and to the
      summary of `held-out real` images, the floor.
    """
    seed, wanted = work.options.seed, work.options.curve_classes
    slow = work.model.slow

    def curve(found, draw):
        return {"model": found, "held-out real": work.summarize(draw.real, draw)}

    few = supports.choose(work.classes, wanted, seed)
    draw = work.draw_supports(few, work.shots, seed)
    inner = work.inner._replace(steps=CURVE_STEPS[-1])
    made = work.adapt("inner steps", slow, inner, draw, seed, CURVE_STEPS)["images"]
    found = {n: work.summarize(made[:, i], draw) for i, n in enumerate(CURVE_STEPS)}
    curves = {"inner steps": curve(found, draw)}
    # The same classes for every number of shots, so those that have enough for all.
    counts, all_shots = np.diff(work.bank.class_start)[work.classes], list(CURVE_SHOTS)
    while (counts >= all_shots[-1] + supports.BESIDE).sum() < 2:
        say(f"no curve for {all_shots.pop()} shots: the classes have too few images")
    enough = work.classes[counts >= all_shots[-1] + supports.BESIDE]
    few = supports.choose(enough, wanted, seed)
    # And the same real images to judge by, for metrics depend on how many there are.
    draw, found = work.draw_supports(few, all_shots[-1], seed), {}
    for n in all_shots:
        fewer = draw._replace(supports=draw.supports[:, :n])
        made = work.adapt(f"{n} shots", slow, work.inner, fewer, seed)["images"]
        found[n] = work.summarize(made[:, 0], fewer)
    return {**curves, "shots": curve(found, draw)}


def _from_scratch(work, seed, generated, k):
    """GANs that are trained on a support alone, for a few classes of one draw.

    Args:
      work: `_Work`.
      seed: of the draw.
      generated: what the model drew of all classes: it stands beside them on the same
        few, else they could not be compared.
      k: of the manifold metrics.

    Returns:
      A dict: name of an arm to its summary.
    """
    few = supports.choose(work.classes, work.options.scratch, work.options.seed)
    draw = work.draw_supports(few, work.shots, seed)
    # At the rate of meta-training: one that falls would be over long before.
    inner = build.inner(work.model.config)._replace(steps=SCRATCH_STEPS)
    made = work.adapt("from scratch", work.random, inner, draw, seed)["images"][:, 0]
    alike = generated[np.isin(work.classes, few)]
    name = f"{len(few)} classes, one draw:"
    return {
        f"{name} from scratch, {SCRATCH_STEPS} steps": work.summarize(made, draw, k),
        f"{name} model": work.summarize(alike, draw, k),
    }
