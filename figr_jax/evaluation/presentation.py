"""A report as people read it: its table, its words, its pictures."""

from scipy.spatial import distance

from figr_jax.common import pictures

# Name of a metric: its title, how it is printed, and what it says.
METRICS = {
    "recognizability": (
        "recognizability",
        "{:.1%}",
        "{ways}-way 1-shot accuracy of a prototypical network (Boutin et al. 2022), "
        "averaged over all choices of the other classes; the prototype is a real image "
        "that is not in the support (theirs: an exemplar in it)",
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
        "number of real images in whose neighbourhood a generated image is, divided by "
        "k (Naeem et al. 2020)",
    ),
    "coverage": (
        "coverage",
        "{:.2f}",
        "share of real images with a generated one in their neighbourhood",
    ),
    "specks": (
        "specks",
        "{:.1%}",
        "share of the ink in connected pieces of less than 1/256 of the image",
    ),
    "haze": (
        "haze",
        "{:.1%}",
        "share of grey pixels, with 10 % to 90 % of full ink",
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
        "the same over all classes: their sum over the root of their number, the "
        "median over draws; compare it with the row of real images",
    ),
}
PAIRED = "model less support jittered, class by class"
_SHOWN = 16  # generated images of a class in a sheet

# Boutin et al. (2023), figure 2, read off their plot: diversity as a multiple of
# that of human drawings, and recognizability.
ANCHORS = {
    "humans": (1.0, 0.976),
    "CFGDM": (0.94, 0.968),
    "FSDM": (1.25, 0.948),
    "DDPM": (1.29, 0.897),
    "VAE-NS": (1.44, 0.851),
    "VAE-STN": (1.65, 0.749),
    "DA-GAN-RN": (0.28, 0.829),
    "DA-GAN-UN": (0.24, 0.882),
}


def render_sheet(evaluator, supports, generated):
    """Renders a sheet of classes: support, images, and the nearest of the support.

    Args:
      evaluator: `evaluators.Evaluator`: its features define the nearest support image.
      supports: `[classes, shots, H, W, C]` uint8.
      generated: `[classes, m, H, W, C]` uint8; the first ones are shown.

    Returns:
      `[height, width, 3]` uint8.
    """
    rows = []
    for support, images in zip(supports, generated[:, :_SHOWN], strict=True):
        (_, ours), (_, theirs) = evaluator.features([images, support])
        near = support[distance.cdist(ours, theirs).argmin(1)]
        rows.append(pictures.compare(support, images, near))
    return pictures.stack(rows)


def write_plots(out, result):
    """Writes the plane and the curves of `report.json` into the folder `out`."""
    means = {
        name: {metric: value["mean"] for metric, value in arm.items()}
        for name, arm in result["arms"].items()
    }
    points = {n: (m["diversity"], m["recognizability"]) for n, m in means.items()}
    real = means["held-out real"]["diversity"]
    anchors = find_anchors(result["checkpoint"]["dataset"], real)
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
    """Returns the points of a metric's curve, and of real images for reference."""

    def point(x, summary):
        return x, *(summary[metric][key] for key in ("mean", "low", "high"))

    real = curve["held-out real"]
    return {
        "model": [point(x, summary) for x, summary in curve["model"].items()],
        "held-out real": [point(x, real) for x in curve["model"]],
    }


def find_anchors(dataset, scale=1):
    """Returns `ANCHORS` for the plane of a data set: none unless it is Omniglot.

    Args:
      dataset: name of the data set.
      scale: diversity of human drawings in the plane.

    Returns:
      A dict of name to diversity and recognizability.
    """
    if dataset != "omniglot":
        return {}
    return {
        f"{name} (read off their plot)": (scale * diversity, right)
        for name, (diversity, right) in ANCHORS.items()
    }


def join(*paragraphs):
    """Joins the paragraphs of a Markdown file."""
    return "\n\n".join(paragraphs) + "\n"


def write_table(result):
    """Formats `report.json` as Markdown."""
    checkpoint, options = result["checkpoint"], result["options"]
    accuracy = result["embeddings"]["prototypical"]["heldout_accuracy"]
    rows = {**result["arms"], PAIRED: result["model_less_jittered"]}
    described = {metric: METRICS[metric] for metric in options["metrics"]}
    return join(
        f"# {checkpoint['dataset']}, {len(result['classes'])} report classes",
        f"Of each class {options['draws']} support(s), {options['count']} images of "
        "each; mean and 95 % bootstrap interval over classes. "
        f"{result['seconds_per_class']:.2f} s to adapt and draw a class "
        f"({result['provenance']['device']}). On real images of all held-out classes "
        f"the prototypical network reaches {accuracy:.1%}.",
        "\n".join(write_rows(rows, options["metrics"])),
        "\n".join(
            f"- {title}: {text.format_map(result)}."
            for title, _, text in described.values()
        ),
        *_explain(result),
        *_show(result),
    )


def cell(arm, metric):
    """Formats a mean and its interval as a table cell."""
    form = METRICS[metric][1]
    value = {key: form.format(number) for key, number in arm[metric].items()}
    return "{mean} ({low}, {high})".format_map(value)


def write_rows(arms, shown):
    """Formats the lines of a Markdown table.

    Args:
      arms: dict: name to dict: metric to `mean`, `low` and `high`.
      shown: the metrics to show, keys of `METRICS`.
    """
    yield "| | " + " | ".join(METRICS[metric][0] for metric in shown) + " |"
    yield "| --- " * (1 + len(shown)) + "|"
    for name, arm in arms.items():
        yield f"| {name} | " + " | ".join(cell(arm, m) for m in shown) + " |"


def _explain(result):
    """Explains the table and the plane."""
    yield (
        "Generated images are compared with real images that are not in the support, "
        "of the same class unless stated otherwise. The row 'held-out real' has other "
        "real images, measured in the same way, for reference. A useful model should "
        "beat the jittered support. The last row is the mean difference to it: if the "
        "interval contains 0, no difference is shown."
    )
    if result["options"]["scratch"]:
        yield (
            "Compare the rows of a few classes only with each other: they have few "
            "classes, and precision, recall, density and coverage are computed within "
            "these classes."
        )
    yield "![recognizability against diversity](plane.png)"
    if find_anchors(result["checkpoint"]["dataset"]):
        yield (
            "Humans and models of Boutin et al. (2023) are read off their plot, at "
            "their ratio of diversity to that of human drawings: features of another "
            "network have another scale. Their recognizability is as they give it."
        )


def _show(result):
    """Lists the sheets and the curves."""
    yield (
        "In each class, the support (red), images of the model (grey), and under each "
        "the support image that is nearest to it (blue)."
    )
    titles = {
        "random": "Random classes, not picked",
        "best": "The most recognizable",
        "worst": "The least recognizable",
    }
    for which, title in titles.items():
        yield f"{title}: {'; '.join(result['shown'][which])}."
        yield f"![{which} classes]({which}_classes.png)"
    for name in result["curves"]:
        yield f"![metrics against {name}]({_curve_file(name)})"
