"""Generator of experiments/results/README.md, the page of all results.

python experiments/results_page.py

Reads the result files of the other scripts and measures nothing. Each row names its
file and the command that wrote it. Results that were not measured are left out.
"""

import importlib.metadata
import json

import results_tables
from records import RESULTS
from results_tables import METRICS, source, table

from figr_jax import shipped
from figr_jax.common import command, files
from figr_jax.evaluation import presentation

# Content of the paper's figures. In each, the first row is the support; the three rows
# below it are generated after 10 inner steps.
FIGURES = {
    "3": "MNIST, 32x32, 4 shots, the unseen 9, after 50,000 meta-steps",
    "4": "Omniglot, 32x32, 4 shots, after 140,000 meta-steps",
    "5": "Omniglot, 32x32, 4 shots, complex characters, after 230,000 meta-steps",
    "6": "Omniglot, 64x64, 8 shots, after 150,000 meta-steps",
    "7": "FIGR-8, 32x32, 8 shots, after 80,000 meta-steps",
    "8": "FIGR-8, 32x32, 8 shots, after 90,000 meta-steps",
    "9": "FIGR-8, 32x32, 8 shots, after 100,000 meta-steps",
    "icons": "not in the paper: open_icons, 8 shots, for comparison with FIGR-8",
}


def reports():
    """Returns the table of each report."""
    lines = ["## Reports", ""]
    for path in sorted(RESULTS.glob("report_*/report.json")):
        name = path.parent.name
        report = json.loads(path.read_text())
        checkpoint = report["checkpoint"]
        networks = checkpoint["config"]["networks"]
        lines += [
            f"### {name.removeprefix('report_')}: {checkpoint['dataset']}, "
            f"{len(report['classes'])} report classes",
            "",
            f"{networks['family']}, width {networks['width']}, {networks['stages']} "
            f"stages; {checkpoint['meta_steps'] or 'unknown number of'} meta-steps. "
            f"{source(report['provenance'], f'{name}/report.md')}",
            "",
            *presentation.write_rows(report["arms"], METRICS),
            "",
            f"![plane]({name}/plane.png)",
            "",
        ]
    return lines


def weights():
    """Returns the table of the shipped weights."""
    rows = []
    for name in shipped.names():
        info = shipped.read_info(name)
        size = (shipped.FOLDER / f"{name}.npz").stat().st_size
        model, jitter = (
            info["report"]["arms"][arm] for arm in ("model", "support jittered")
        )
        cells = [
            presentation.cell(arm, m)
            for arm in (model, jitter)
            for m in ("recognizability", "diversity")
        ]
        card = f"[{name}](../../figr_jax/weights/{name}.md)"
        rows.append([card, f"{info['step']:,}", f"{size / 1e6:.1f} MB", *cells])
    head = ["", "meta-steps", "size", "recognizability", "diversity"]
    head += ["jitter: recognizability", "jitter: diversity"]
    return ["## Shipped weights", "", *table(head, rows), ""]


def curves():
    """Returns the curves of training runs."""
    lines = [
        "## Training curves",
        "",
        "Metrics of ten tuning classes of each data set, losses, norms and speed while "
        "a run trained. `icons_lp` gave the shipped `open_icons-32`; [how long to "
        "train](../../docs/training.md#how-long-to-train) describes the others.",
        "",
    ]
    for path in sorted(RESULTS.glob("curves_*.png")):
        name = path.stem.removeprefix("curves_")
        lines += [
            f"`{name}`, by `python -m figr_jax.evaluate --curves=runs/{name}`:",
            "",
            f"![curves of {name}]({path.name})",
            "",
        ]
    return lines


def time_to_quality():
    """Returns the plot of quality against core minutes."""
    path = RESULTS / "time_to_quality.json"
    if not path.exists():
        return []
    origin = source(json.loads(path.read_text()), path.name)
    picture = f"![time to quality]({path.with_suffix('.png').name})"
    return ["## Time to quality", "", origin, "", picture, ""]


def sketches():
    """Returns the results for new sketches of twenty kinds of things."""
    lines = ["## Sketches", ""]
    for path in sorted(RESULTS.glob("sketches_*.json")):
        record = json.loads(path.read_text())
        lines += [
            f"`{record['checkpoint']}`, twenty kinds of things, four sketches each "
            f"(red). The images vary {record['mean_variety']:.2f} times as much as the "
            f"sketches (mean pairwise distance); {record['copies']} of "
            f"{record['images'] * len(record['kinds']):,} are copies by the studio's "
            f"criterion, and {record['control_copies']} of as many further sketches. "
            f"{source(record, path.name)}",
            "",
            f"![sketches]({path.with_suffix('.png').name})",
            "",
        ]
    return lines


def inputs():
    """Returns the results for drawings in the guises of user images."""
    path = RESULTS / "inputs.json"
    if not path.exists():
        return []
    record = json.loads(path.read_text())
    rows = [
        [name.replace("_", " ")]
        + [f"{ways[way]['recognizability']['mean']:.1%}" for way in ("none", "auto")]
        + [f"{ways['auto']['kid']['mean']:.1f}"]
        for name, ways in record["guises"].items()
    ]
    return [
        "## Guises of user drawings",
        "",
        f"Supports of {record['classes']} tuning classes of Omniglot are redrawn in "
        f"each guise. The table has the recognizability of the images that "
        f"`{record['checkpoint']}` generates from them, without and with preparation. "
        f"{source(record, path.name)}",
        "",
        *table(["guise", "`--prepare=none`", "prepared", "KID, prepared"], rows),
        "",
        f"![guises]({path.with_suffix('.png').name})",
        "",
    ]


def untouched():
    """Lists what preparation changes in the images of data sets."""
    path = RESULTS / "untouched.json"
    if not path.exists():
        return []
    record = json.loads(path.read_text())
    rows = [
        [name, f"{row['redrawn']:.1%}"]
        + [
            presentation.cell({"recognizability": row[way]}, "recognizability")
            for way in ("none", "auto")
        ]
        for name, row in record["data_sets"].items()
    ]
    return [
        "The data sets' own files need no preparation. The table has the share of "
        "supports that preparation changes, and the recognizability of the images that "
        f"`{record['checkpoint']}` generates without and with it. "
        f"{source(record, path.name)}",
        "",
        *table(["data set", "changed", "`--prepare=none`", "prepared"], rows),
        "",
    ]


def figures():
    """Returns our versions of the paper's figures."""
    lines = ["## The paper's figures", ""]
    for path in sorted(RESULTS.glob("data_*/counts.json")):
        record, name = json.loads(path.read_text()), path.parent.name
        lines += [
            "**1 and 2.** FIGR-8: images of many classes, images of one class, and the "
            "number of images per class.",
            "",
            f"Ours, {record['dataset']}: {record['images']:,} images of "
            f"{record['classes']:,} classes; the one class is "
            f"{record['figure1_largest']!r}. "
            f"{source(record, f'{name}/counts.json')}",
            "",
            f"![figure 1]({name}/figure1.png)",
            "",
            f"![figure 2]({name}/figure2.png)",
            "",
        ]
    for number, content in FIGURES.items():
        lines += [f"**{number}.** {content}.", ""]
        paths = sorted(RESULTS.glob(f"figure_{number}_*.json"))
        for path in paths:
            record = json.loads(path.read_text())
            lines += [
                f"Ours, `{record['size']}` ({record['config']['networks']['family']} "
                f"networks), after {record['meta_steps']:,} meta-steps; "
                f"classes: {', '.join(record['heldout'])}. {source(record, path.name)}",
                "",
                f"![figure {number}]({path.stem}.png)",
                "",
            ]
        if not paths:
            lines += ["Ours: not run.", ""]
    return lines


def others():
    """Returns the list of results without a table."""
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text())
        shown = path.name.startswith(
            (
                "figure_",
                "inputs",
                "sketches",
                "time_to_quality",
                "untouched",
            )
        )
        if not shown and "times_faster_than_torch" not in record:
            command = f"`{record['command']}`" if "command" in record else "-"
            cells = [f"[{path.name}]({path.name})", command]
            cells.append(record.get("commit", "-"))
            rows.append(cells)
    return ["## Other results", "", *table(["file", "command", "commit"], rows), ""]


def main():
    """Writes the page."""
    head = [
        "# Results",
        "",
        "Generated by `python experiments/results_page.py` from the files in this "
        f"folder, with figr_jax {importlib.metadata.version('figr_jax')}; do not edit. "
        "Values are means over classes with 95 % bootstrap intervals.",
        "",
    ]
    parts = (
        weights,
        curves,
        results_tables.algorithms,
        reports,
        results_tables.tuning,
        results_tables.sweeps,
        time_to_quality,
        sketches,
        inputs,
        untouched,
        results_tables.low_data,
        figures,
        results_tables.trials,
        results_tables.speed,
        others,
    )
    text = "\n".join(head + [line for part in parts for line in part()])
    files.write_bytes(RESULTS / "README.md", text.encode())
    print(f"wrote {RESULTS / 'README.md'}")


if __name__ == "__main__":
    command.run(main)
