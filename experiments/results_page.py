"""Generator of experiments/results/README.md, the page of all results.

python experiments/results_page.py

Reads the result files of the other scripts and measures nothing. Each row names its
file and the command that wrote it. Results that were not measured are left out.
"""

import importlib.metadata
import json
import pathlib

import claims

from figr_jax import shipped
from figr_jax.common import command, files
from figr_jax.evaluation import presentation

RESULTS = pathlib.Path(__file__).parent / "results"
METRICS = ("recognizability", "diversity", "kid", "recall", "pooled_copying")
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


def table(head, rows):
    """Formats a Markdown table, a list of lines."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def source(record, name):
    """Formats the source of a result: file, command, date and commit."""
    commit = f", commit {record['commit']}" if record.get("commit") else ""
    date = f", {record['date']}" if record.get("date") else ""
    return f"[{name}]({name}): `{record['command']}`{date}{commit}"


def reports():
    """Writes the table of each report."""
    lines = ["## Reports", ""]
    for path in sorted(RESULTS.glob("report_*/report.json")):
        name = path.parent.name
        report = json.loads(path.read_text())
        checkpoint = report["checkpoint"]
        networks = checkpoint["config"]["networks"]
        lines += [
            f"### {checkpoint['dataset']}, {len(report['classes'])} held-out classes",
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
    """Writes the table of the shipped weights."""
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
    lines = ["## Shipped weights", "", *table(head, rows), ""]
    for path in sorted(RESULTS.glob("curves_*.png")):
        name = path.stem.removeprefix("curves_")
        lines += [
            f"Losses, and metrics of ten held-out classes, while {name} trained "
            f"(`python -m figr_jax.evaluate --curves=runs/{name}`):",
            "",
            f"![curves]({path.name})",
            "",
        ]
    return lines


OLD_SIMCLR = (
    "Rows of commit c69d23e and earlier have a diversity and a Z_U of an older SimCLR; "
    "these two cannot be compared with later rows."
)


def tuning():
    """Writes the table of quality.jsonl: trained models with sampling settings."""
    rows = []
    for line in (RESULTS / "quality.jsonl").read_text().splitlines():
        record = json.loads(line)
        values = (f"{record[metric]['mean']:.3f}" for metric in METRICS)
        cells = [record["checkpoint"], record.get("dataset", "omniglot")]
        cells += [str(record["classes"]), record["setting"], *values, record["commit"]]
        rows.append(cells)
    head = ["checkpoint", "data set", "classes", "sampling", *METRICS, "commit"]
    text = [
        "Means over tuning classes, which no report measures. "
        "`experiments/gpu/run.sh` trained the models in `runs/gpu` in parallel on one "
        "H200, for 1,400 meta-steps of 16 tasks each: `plain` mixes the features in "
        "place, `warp` also displaces them. `python experiments/quality.py` adds rows "
        f"to [quality.jsonl](quality.jsonl). {OLD_SIMCLR}"
    ]
    return ["## Tuning classes", "", *text, "", *table(head, rows), ""]


def sweeps():
    """Writes the table of sweep trials."""
    rows = []
    for line in (RESULTS / "sweep.jsonl").read_text().splitlines():
        record = json.loads(line)
        overrides = " ".join(x.removeprefix("--config.") for x in record["overrides"])
        cells = [record["trial"], record["base"], f"`{overrides or '-'}`"]
        cells += [f"{record['core_minutes']:.1f}", f"{record['meta_steps']:,}"]
        cells += [f"`{record['setting'] or '-'}`"]
        cells += [f"{record[metric]['mean']:.3f}" for metric in METRICS]
        rows.append([*cells, record["commit"]])
    head = ["trial", "config", "overrides", "core minutes", "meta-steps", "sampling"]
    return [
        "## Sweeps",
        "",
        "All trials of `python experiments/sweep.py` ([sweep.jsonl](sweep.jsonl)): "
        "trained on Omniglot, split `weak`, 4 shots, seed 0. Means over 50 tuning "
        "classes, 32 images each. Until commit 5bf3756 the loss of "
        f"configs/omniglot_fusion.py was `wgan_gp`. {OLD_SIMCLR}",
        "",
        *table([*head, *METRICS, "commit"], rows),
        "",
    ]


def time_to_quality():
    """Writes the plot of quality against core minutes."""
    path = RESULTS / "time_to_quality.json"
    if not path.exists():
        return []
    origin = source(json.loads(path.read_text()), path.name)
    picture = f"![time to quality]({path.with_suffix('.png').name})"
    return ["## Time to quality", "", origin, "", picture, ""]


def sketches():
    """Writes the results for drawings that are in no data set."""
    lines = ["## Sketches", ""]
    for path in sorted(RESULTS.glob("sketches_*.json")):
        record = json.loads(path.read_text())
        lines += [
            f"`{record['checkpoint']}`, twenty kinds of drawings, four sketches each "
            f"(red). The images vary {record['mean_variety']:.2f} times as much as the "
            f"sketches (mean pairwise distance); {record['copies']} of "
            f"{record['images'] * len(record['kinds']):,} are copies by the studio's "
            f"criterion. {source(record, path.name)}",
            "",
            f"![sketches]({path.with_suffix('.png').name})",
            "",
        ]
    return lines


def inputs():
    """Writes the results for drawings in the guises of user images."""
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


def low_data():
    """Writes the low-data accuracy."""
    path = RESULTS / "low_data.json"
    if not path.exists():
        return []
    record = json.loads(path.read_text())
    counts = list(record["accuracy"])
    rows = []
    for arm in record["accuracy"][counts[0]]:
        values = [record["accuracy"][count][arm] for count in counts]
        cells = [f"{x['mean']:.1%} ({x['low']:.1%}, {x['high']:.1%})" for x in values]
        rows.append([arm, *cells])
    for arm, values in (record["published"] or {}).items():
        rows.append([f"published: {arm}", *(f"{x:.1%}" for x in values)])
    head = ["", *(f"{count} real images" for count in counts)]
    return [
        "## Low-data accuracy",
        "",
        f"{record['dataset']['name']}: accuracy of a classifier of "
        f"{record['unseen_classes']} unseen classes, against the number of real images "
        f"per class in its training. {source(record, path.name)}. Do not compare the "
        "published rows with the others: their classes and their classifier differ. "
        "Choices where the published protocol gives no detail:",
        "",
        *(f"- {choice}" for choice in record["choices"]),
        "",
        *table(head, rows),
        "",
    ]


def figures():
    """Writes our versions of the paper's figures."""
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
                f"Ours, `{record['size']}`, after {record['meta_steps']:,} meta-steps; "
                f"classes: {', '.join(record['heldout'])}. {source(record, path.name)}",
                "",
                f"![figure {number}]({path.stem}.png)",
                "",
            ]
        if not paths:
            lines += ["Ours: not run.", ""]
    return lines


def trials():
    """Writes the tested claims and all trials of the config search."""
    path = RESULTS / "recipe.jsonl"
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    page = [
        "## Claims",
        "",
        "Trials up to commit f333cf4 were measured with an embedding of 1,500 training "
        "steps. Later trials, and the reports, use one of 3,000 steps, which is "
        "stricter. Compare figures within a table only.",
        "",
    ]
    for name, (question, arms) in claims.CLAIMS.items():
        rows = [claims.row(line) for arm, _ in arms if (line := claims.find(arm))]
        question = question[0].upper() + question[1:]
        page += [f"**{question}** (`python experiments/claims.py {name}`)", ""]
        done = len(rows) == len(arms)
        page += table(claims.HEAD, rows) if done else ["Not measured yet."]
        page += [""]
    page += [
        "## Config search",
        "",
        "All trials, including failed ones ([recipe.jsonl](recipe.jsonl); "
        "`python experiments/recipe.py`): Omniglot, split `weak`, 50 held-out classes, "
        "one support per class, seed 0.",
        "",
        *table(claims.HEAD, map(claims.row, lines)),
        "",
    ]
    return page


def speed():
    """Writes the speed of a meta-step."""
    rows = []
    for path in sorted(RESULTS.glob("speed_*.json")):
        record = json.loads(path.read_text())
        if "times_faster_than_torch" not in record:
            continue
        ratio = "{median:.2f} ({least:.2f} to {most:.2f})"
        rows.append(
            [
                f"[{record['network']}, width {record['width']}]({path.name})",
                f"{record['seconds']['ours']:.2f}",
                ratio.format_map(record["times_faster_than_torch"]),
                f"{record['share_of_product_rate']:.2f}",
                record["commit"],
            ]
        )
    head = ["networks", "seconds", "speed relative to PyTorch"]
    head += ["share of the rate of a large matrix product", "commit"]
    lines = ["## Speed", "", "`python experiments/speed/meta_step.py --vs_torch`:", ""]
    return [*lines, *table(head, rows), "", "![scaling](scaling_paper.png)", ""]


def others():
    """Writes the list of results without a table."""
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text())
        shown = path.name.startswith(
            ("figure_", "low_data", "sketches", "time_to_quality")
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
        "Figures are means over classes with 95 % bootstrap intervals.",
        "",
    ]
    parts = (
        weights,
        reports,
        tuning,
        sweeps,
        time_to_quality,
        sketches,
        inputs,
        untouched,
        low_data,
        figures,
        trials,
        speed,
        others,
    )
    text = "\n".join(head + [line for part in parts for line in part()])
    files.write_bytes(RESULTS / "README.md", text.encode())
    print(f"wrote {RESULTS / 'README.md'}")


if __name__ == "__main__":
    command.run(main)
