"""The report of a checkpoint: every metric of the protocol, controls, pictures."""

from typing import NamedTuple

import jax
import numpy as np

from figr_jax import config, files, pictures, provenance, recipe
from figr_jax.errors import BadInput
from figr_jax.evaluation import embedding, metrics, protocol
from figr_jax.runlog import say

# Name of a metric: its title, how it is printed, and what it says.
METRICS = {
    "recognizability": (
        "recognizability",
        "{:.1%}",
        "{ways}-way 1-shot accuracy of a prototypical network (Boutin et al. 2022), "
        "exact over all episodes; the prototype is a real image that was not shown "
        "(theirs: an exemplar that was)",
    ),
    "diversity": (
        "diversity",
        "{:.3f}",
        "standard deviation of SimCLR features within a class (Boutin et al. 2022), of "
        "as many images as there are real ones",
    ),
    "vendi": (
        "Vendi",
        "{:.2f}",
        "effective number of different images, of as many as there are real ones "
        "(Friedman and Dieng 2023), SimCLR features less those of a mean image",
    ),
    "kid": (
        "KID",
        "{:.2f}",
        "unbiased squared MMD to the reference, cubic kernel (Binkowski et al. 2018), "
        "prototypical features; mean over classes",
    ),
    "precision": (
        "precision",
        "{:.2f}",
        "share of generated images near a real one, of any class (Kynkaanniemi et al. "
        "2019); this and the next three with k = {neighbours}",
    ),
    "recall": (
        "recall",
        "{:.2f}",
        "share of real images near a generated one, of any class",
    ),
    "density": (
        "density",
        "{:.2f}",
        "how densely real images lie about a generated one (Naeem et al. 2020)",
    ),
    "coverage": (
        "coverage",
        "{:.2f}",
        "share of real images with a generated one in their neighbourhood",
    ),
    "copying": (
        "Z_U",
        "{:.2f}",
        "Mann-Whitney z-score of the distance to the support, against real images, of "
        "one class (Meehan et al. 2020), SimCLR features: far below 0 for copies; far "
        "above 0 for images so unlike real ones that it cannot tell",
    ),
    "pooled_copying": (
        "Z_U, pooled",
        "{:.1f}",
        "the same over all classes: the sum of their means over the root of their "
        "number; copies where its interval lies below that of held-out real images",
    ),
}
CURVE_STEPS = (0, 1, 2, 5, 10, 20, 50)
CURVE_SHOTS = (1, 2, 4, 8)
SCRATCH_STEPS = 1000
_SHEET_CLASSES = 8
_RANKED = 5  # best and worst classes that are shown
_SHOWN = 16  # generated images of a class in a sheet

# Boutin et al. (2022), figure 2, read off their plot: recognizability, diversity.
ANCHORS = {
    "humans": (0.975, 1.28),
    "DA-GAN-UNet": (0.88, 0.32),
    "DA-GAN-ResNet": (0.83, 0.36),
    "VAE-NS": (0.85, 1.75),
    "VAE-STN": (0.75, 2.05),
}


class Options(NamedTuple):
    """What a report is made with.

    Attributes:
      draws: of supports for each class.
      count: images to draw of each class.
      classes: how many held-out classes, chosen by seed; 0: all.
      curve_classes: how many of them the curves are of; 0: no curves.
      scratch: for how many of them a GAN is trained from scratch.
      seed: of every random draw.
      metrics: names of those in the table, see `METRICS`.
    """

    draws: int = 3
    count: int = 64
    classes: int = 0
    curve_classes: int = 20
    scratch: int = 2
    seed: int = 0
    metrics: tuple[str, ...] = tuple(METRICS)


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
    if options.classes == 1:
        raise BadInput("--classes=1: at least 2 are needed to tell one from another")
    if options.curve_classes == 1:
        raise BadInput("--curve_classes=1: at least 2 are needed, or 0 for no curves")
    if unknown := [name for name in options.metrics if name not in METRICS]:
        raise BadInput(
            f"--metrics={unknown[0]}: no such metric; there are {', '.join(METRICS)}"
        )
    split = protocol.model_split(model, bank)
    training, heldout = split.indices(bank.names)
    shots, inner = model.config.inner.shots, config.build_inner(model.config)
    eligible = protocol.find_eligible(bank, heldout, shots)
    classes = protocol.choose(eligible, options.classes, options.seed)
    if joint:
        _check_joint(model, joint)
    ways = min(protocol.WAYS, len(eligible))
    if ways < protocol.WAYS:
        say(f"recognizability is {ways}-way: no more held-out classes can be judged")
    out = files.make_folder(out, "--out")
    embeddings = embedding.load_all(bank, split)
    judge = protocol.Judge(*embeddings)
    images = protocol.Images(out / "images", model, options.seed, options.count)
    states = np.random.SeedSequence(options.seed).generate_state(options.draws)
    seeds = [int(state >> 1) for state in states]  # keys of jax have 31 bits for it

    def draw_supports(classes, shots, seed):
        return protocol.draw_supports(bank, classes, shots, seed, eligible)

    draws = [draw_supports(classes, shots, seed) for seed in seeds]

    def adapt(name, slow, inner, draw, seed, at=None):
        is_joint = joint and slow is joint.slow
        what = [name, inner.steps, at, seed, is_joint and joint.info["checksums"]]

        def run():
            drawn, seconds = protocol.adapt_and_draw(
                model.networks,
                inner,
                slow,
                draw.supports,
                seed,
                options.count,
                at,
                what=name,
            )
            return {"images": drawn, "seconds": np.array(seconds)}

        return images.get(f"{name}-{inner.steps}", what, draw.supports, run)

    random = jax.jit(model.networks.init)(jax.random.key(options.seed))
    sources = {"model": model.slow, "random weights": random}
    if joint:
        sources["joint training"] = joint.slow
    drawn, seconds = {name: [] for name in sources}, []
    training = training[np.diff(bank.class_start)[training] > 1]  # one has no spread
    known = protocol.embed_classes(judge, bank, training)
    for draw, seed in zip(draws, seeds, strict=True):
        for name, slow in sources.items():
            made = adapt(name, slow, inner, draw, seed)
            drawn[name].append(made["images"][:, 0])
            if name == "model":
                seconds.append(float(made["seconds"]))
        made = protocol.make_controls(
            judge, draw, bank, training, known, options.count, seed
        )
        for name, sets in made.items():
            drawn.setdefault(name, []).append(sets)
    arms = {}
    for name, sets in drawn.items():
        say(f"judging: {name}")
        arms[name] = protocol.judge_all(judge, sets, draws)

    names = [bank.names[c] for c in classes]
    right = arms["model"]["recognizability"].mean(0)
    order = np.random.default_rng(options.seed).permutation(len(names))
    ranked = np.argsort(-right, kind="stable")
    shown = {
        "random": order[:_SHEET_CLASSES],
        "best": ranked[:_RANKED],
        "worst": ranked[::-1][:_RANKED],
    }
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
        "neighbours": protocol.neighbours(draws),
        "embeddings": {e.record["kind"]: e.record for e in embeddings},
        "arms": {
            name: protocol.summary(arm, options.seed) for name, arm in arms.items()
        },
        "recognizability_of_classes": dict(zip(names, right, strict=True)),
        "shown": {which: [names[i] for i in rows] for which, rows in shown.items()},
        "seconds_per_class": float(np.median(seconds)),
        "curves": {},
        "provenance": provenance.describe(),
    }
    if options.curve_classes:
        counts = np.diff(bank.class_start)[classes]
        result["curves"] = _curves(
            *(classes, counts, shots, inner, model.slow),
            *(draw_supports, adapt, judge, options),
        )
    if options.scratch:
        few = protocol.choose(classes, options.scratch, options.seed)
        draw = draw_supports(few, shots, seeds[0])
        scratch = inner._replace(steps=SCRATCH_STEPS)
        made = adapt("from scratch", random, scratch, draw, seeds[0])
        # The model beside it, on the same few: else they could not be compared.
        alike = drawn["model"][0][np.isin(classes, few)]
        name = f"{len(few)} classes, one draw:"
        for what, sets in (
            (f"{name} from scratch, {SCRATCH_STEPS} steps", made["images"][:, 0]),
            (f"{name} model", alike),
        ):
            arm = protocol.judge_all(judge, [sets], [draw])
            result["arms"][what] = protocol.summary(arm, options.seed)
    for which, rows in shown.items():
        sheet = _sheet(judge, draws[0].supports[rows], drawn["model"][0][rows])
        pictures.save(out / f"{which}_classes.png", sheet)
    _write_plots(out, result)
    files.write_json(out / "report.json", result)
    files.write_bytes(out / "report.md", write_table(result).encode())
    return result


def _check_joint(model, joint):
    if joint.networks != model.networks or joint.info["split"] != model.info["split"]:
        raise BadInput("--joint: must have the same networks and split as --checkpoint")
    if joint.config.inner.steps != 1:
        raise BadInput(
            f"--joint: was trained with {joint.config.inner.steps} inner steps; joint "
            "training is --config.inner.steps=1"
        )


def _curves(classes, counts, shots, inner, slow, draw_supports, adapt, judge, options):
    """Metrics against inner steps and against shots, of one draw of some classes."""
    seed = options.seed

    def summarize(sets, draw):
        return protocol.summary(protocol.judge_all(judge, [sets], [draw]), seed)

    def curve(found, draw):
        return {"model": found, "held-out real": summarize(draw.real, draw)}

    few = protocol.choose(classes, options.curve_classes, seed)
    draw = draw_supports(few, shots, seed)
    steps = inner._replace(steps=CURVE_STEPS[-1])
    made = adapt("inner steps", slow, steps, draw, seed, CURVE_STEPS)["images"]
    found = {step: summarize(made[:, i], draw) for i, step in enumerate(CURVE_STEPS)}
    curves = {"inner steps": curve(found, draw)}
    # The same classes for every number of shots, so those that have enough for all.
    all_shots = list(CURVE_SHOTS)
    while (counts >= all_shots[-1] + protocol.BESIDE).sum() < 2:
        say(f"no curve for {all_shots.pop()} shots: the classes have too few images")
    enough = classes[counts >= all_shots[-1] + protocol.BESIDE]
    few = protocol.choose(enough, options.curve_classes, seed)
    # And the same real images to judge by, for metrics depend on how many there are.
    draw, found = draw_supports(few, all_shots[-1], seed), {}
    for n in all_shots:
        shown = draw._replace(supports=draw.supports[:, :n])
        made = adapt(f"{n} shots", slow, inner, shown, seed)["images"]
        found[n] = summarize(made[:, 0], shown)
    return {**curves, "shots": curve(found, draw)}


def _nearest(judge, support, generated):
    """For each generated image the support image that is nearest, `[m, H, W, C]`."""
    (_, ours), (_, theirs) = judge.features([generated, support])
    return support[metrics.squared_distances(ours, theirs).argmin(1)]


def _sheet(judge, supports, generated):
    """Classes below each other, each with what its images are near."""
    rows = []
    for support, images in zip(supports, generated[:, :_SHOWN], strict=True):
        rows.append(pictures.compare(support, images, _nearest(judge, support, images)))
    return pictures.stack(rows)


def _write_plots(out, result):
    means = {
        name: {metric: value["mean"] for metric, value in arm.items()}
        for name, arm in result["arms"].items()
    }
    points = {n: (m["diversity"], m["recognizability"]) for n, m in means.items()}
    real = means["held-out real"]["diversity"]
    anchors = {
        f"{name} (read off their plot, rescaled)": (
            value * real / ANCHORS["humans"][1],
            right,
        )
        for name, (right, value) in ANCHORS.items()
        if _has_anchors(result)
    }
    pictures.save(
        out / "plane.png",
        pictures.plane(points, anchors, "diversity", "recognizability"),
    )
    for name, curve in result["curves"].items():
        lines = {
            title: _lines(curve, metric) for metric, (title, _, _) in METRICS.items()
        }
        pictures.save(out / _curve_file(name), pictures.curves(lines, name))


def _curve_file(name):
    return f"curve_{name.replace(' ', '_')}.png"


def _lines(curve, metric):
    """The points of a metric's curve, and of real images beside it: the floor."""

    def point(x, summary):
        return x, *(summary[metric][key] for key in ("mean", "low", "high"))

    real = curve["held-out real"]
    return {
        "model": [point(x, summary) for x, summary in curve["model"].items()],
        "held-out real": [point(x, real) for x in curve["model"]],
    }


def _has_anchors(result):
    """Theirs are of Omniglot."""
    return result["checkpoint"]["dataset"] == "omniglot"


def write_table(result):
    """The report as Markdown."""
    checkpoint, options = result["checkpoint"], result["options"]
    shown = options["metrics"]
    found = result["embeddings"]["prototypical"]["heldout_accuracy"]
    lines = [
        f"# {checkpoint['dataset']}, {len(result['classes'])} held-out classes",
        "",
        f"Of each class {options['draws']} support(s), {options['count']} images of "
        "each; mean and 95 % bootstrap interval over classes. "
        f"{result['seconds_per_class']:.2f} s to adapt and draw a class "
        f"({result['provenance']['device']}). On real images of all held-out classes "
        f"the prototypical network reaches {found:.1%}.",
        "",
        "| | " + " | ".join(METRICS[metric][0] for metric in shown) + " |",
        "| --- " * (1 + len(shown)) + "|",
    ]
    for name, arm in result["arms"].items():
        cells = []
        for metric in shown:
            form = METRICS[metric][1]
            value = {key: form.format(number) for key, number in arm[metric].items()}
            cells.append("{mean} ({low}, {high})".format_map(value))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    told = ((METRICS[metric][0], METRICS[metric][2]) for metric in shown)
    told = (f"- {title}: {text.format_map(result)}." for title, text in told)
    lines += ["", *told, ""]
    lines += [
        "Images are compared with real ones that were not shown, of the same class but "
        "where it says otherwise. The row of held-out real images is the floor: other "
        "real images, judged in the same way. A model that does not beat the jittered "
        "support has shown nothing.",
        "",
    ]
    if options["scratch"]:
        lines += [
            "Rows of a few classes stand beside each other only: their interval is "
            "hardly more than the range of these classes, and precision, recall, "
            "density and coverage are among them alone.",
            "",
        ]
    lines += ["![recognizability against diversity](plane.png)", ""]
    if _has_anchors(result):
        lines += [
            "Humans and models of Boutin et al. (2022) are read off their plot, at "
            "their ratio of diversity to that of human drawings: features of another "
            "network have another scale. Their recognizability is as they give it.",
            "",
        ]
    lines += [
        "In each class, the support (red), images of the model (grey), and under each "
        "the support image that is nearest to it (blue).",
        "",
    ]
    titles = {
        "random": "Random classes, not picked",
        "best": "The most recognizable",
        "worst": "The least recognizable",
    }
    for which, title in titles.items():
        names = "; ".join(result["shown"][which])
        picture = f"![{which} classes]({which}_classes.png)"
        lines += [f"{title}: {names}.", "", picture, ""]
    for name in result["curves"]:
        lines += [f"![metrics against {name}]({_curve_file(name)})", ""]
    return "\n".join(lines)
