"""Writes experiments/results/README.md from the files beside it: all results, one page.

python experiments/results_page.py

Nothing is measured here: each row is read from a file that a command of its own wrote,
and both are named. What has not been measured yet is missing, not made up.
"""

import importlib.metadata
import json
import pathlib

import claims

from figr_jax import command, files, shipped
from figr_jax.evaluation import presentation

RESULTS = pathlib.Path(__file__).parent / "results"
METRICS = ("recognizability", "diversity", "kid", "recall", "pooled_copying")
# What the paper's figures show: in each the first row is the support, three rows below
# it are generated after 10 inner steps.
FIGURES = {
    "3": "MNIST, 32x32, 4 shots, the unseen 9, after 50,000 meta-steps",
    "4": "Omniglot, 32x32, 4 shots, after 140,000 meta-steps",
    "5": "Omniglot, 32x32, 4 shots, complex characters, after 230,000 meta-steps",
    "6": "Omniglot, 64x64, 8 shots, after 150,000 meta-steps",
    "7": "FIGR-8, 32x32, 8 shots, after 80,000 meta-steps",
    "8": "FIGR-8, 32x32, 8 shots, after 90,000 meta-steps",
    "9": "FIGR-8, 32x32, 8 shots, after 100,000 meta-steps",
    "icons": "not in the paper: open_icons, 8 shots, beside FIGR-8",
}


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def source(made, name):
    """Where a row is from."""
    commit = f", commit {made['commit']}" if made.get("commit") else ""
    date = f", {made['date']}" if made.get("date") else ""
    return f"[{name}]({name}): `{made['command']}`{date}{commit}"


def reports():
    """The table of each report."""
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
    """What ships."""
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
    lines = ["## Weights that ship", "", *table(head, rows), ""]
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


def sampling():
    """How a trained model should adapt."""
    lines = ["## How a trained model adapts", ""]
    for path in sorted(RESULTS.glob("sampling_*.json")):
        made = json.loads(path.read_text())
        which = "all of them" if made["reported"] else "none of them"
        lines += [
            f"{made['dataset']}: the same weights after {made['meta_steps']:,} "
            "meta-steps, 10 inner steps, by the factor of the inner rate from one "
            "update to the next, the critic's updates a step, and the scale of the "
            f"latents; {made['classes']} held-out classes, {which} in the report. "
            f"{source(made, path.name)}",
            "",
            *presentation.write_rows(made["arms"], METRICS),
            "",
            f"![plane]({path.with_suffix('.png').name})",
            "",
        ]
    return lines


def tuning():
    """The table of quality.jsonl: trained models by several ways to sample."""
    rows = []
    for line in (RESULTS / "quality.jsonl").read_text().splitlines():
        made = json.loads(line)
        values = (f"{made[metric]['mean']:.3f}" for metric in METRICS)
        rows.append([made["checkpoint"], made["setting"], *values, made["commit"]])
    head = ["checkpoint", "sampling", *METRICS, "commit"]
    text = [
        "Means over 50 tuning classes, which no report measures. The models are those "
        "that `experiments/gpu/run.sh` trained side by side on one H200, 1,400 "
        "meta-steps of 16 tasks each: `plain` mixes the features in place, `warp` also "
        "displaces them. `python experiments/quality.py` adds rows to "
        "[quality.jsonl](quality.jsonl)."
    ]
    return ["## Tuning classes", "", *text, "", *table(head, rows), ""]


def sweeps():
    """Trials of sweeps."""
    rows = []
    for line in (RESULTS / "sweep.jsonl").read_text().splitlines():
        made = json.loads(line)
        overrides = " ".join(x.removeprefix("--config.") for x in made["overrides"])
        cells = [made["trial"], made["base"], f"`{overrides or '-'}`"]
        cells += [f"{made['core_minutes']:.1f}", f"{made['meta_steps']:,}"]
        cells += [f"`{made['setting'] or '-'}`"]
        cells += [f"{made[metric]['mean']:.3f}" for metric in METRICS]
        rows.append([*cells, made["commit"]])
    head = ["trial", "config", "overrides", "core minutes", "meta-steps", "sampling"]
    return [
        "## Sweeps",
        "",
        "Every trial of `python experiments/sweep.py` ([sweep.jsonl](sweep.jsonl)): "
        "trained on Omniglot, split `weak`, 4 shots, one task in a meta-step, seed 0; "
        "means over 50 tuning classes, 32 images each.",
        "",
        *table([*head, *METRICS, "commit"], rows),
        "",
    ]


def time_to_quality():
    """Recipes by core minutes."""
    path = RESULTS / "time_to_quality.json"
    if not path.exists():
        return []
    made = source(json.loads(path.read_text()), path.name)
    picture = f"![time to quality]({path.with_suffix('.png').name})"
    return ["## Time to quality", "", made, "", picture, ""]


def sketches():
    """Drawings of no data set."""
    lines = ["## Sketches", ""]
    for path in sorted(RESULTS.glob("sketches_*.json")):
        made = json.loads(path.read_text())
        lines += [
            f"`{made['checkpoint']}`, twenty kinds of drawing, four sketches of each "
            f"(red): the images vary {made['mean_variety']:.2f} times as much as the "
            f"sketches (mean pairwise distance); {made['copies']} of "
            f"{made['images'] * len(made['kinds']):,} are copies, as the studio counts "
            f"them. {source(made, path.name)}",
            "",
            f"![sketches]({path.with_suffix('.png').name})",
            "",
        ]
    return lines


def inputs():
    """Drawings in the guises in which people bring them."""
    path = RESULTS / "inputs.json"
    if not path.exists():
        return []
    made = json.loads(path.read_text())
    rows = [
        [name.replace("_", " ")]
        + [f"{ways[way]['recognizability']['mean']:.1%}" for way in ("none", "auto")]
        + [f"{ways['auto']['kid']['mean']:.1f}"]
        for name, ways in made["guises"].items()
    ]
    redrawn = ", ".join(f"{name} {x:.1%}" for name, x in made["redrawn"].items())
    return [
        "## Drawings as people hand them over",
        "",
        f"Supports of {made['classes']} tuning classes of Omniglot, redrawn in each "
        f"guise; images that `{made['checkpoint']}` generates from them, with and "
        f"without preparation. {source(made, path.name)}",
        "",
        *table(["guise", "`--prepare=none`", "prepared", "KID, prepared"], rows),
        "",
        f"Supports of the data sets themselves that preparation changes: {redrawn}.",
        "",
        f"![guises]({path.with_suffix('.png').name})",
        "",
    ]


def low_data():
    """Accuracy of classifiers of few real images."""
    path = RESULTS / "low_data.json"
    if not path.exists():
        return []
    made = json.loads(path.read_text())
    counts = list(made["accuracy"])
    rows = []
    for arm in made["accuracy"][counts[0]]:
        found = [made["accuracy"][count][arm] for count in counts]
        cells = [f"{x['mean']:.1%} ({x['low']:.1%}, {x['high']:.1%})" for x in found]
        rows.append([arm, *cells])
    for arm, found in (made["published"] or {}).items():
        rows.append([f"published: {arm}", *(f"{x:.1%}" for x in found)])
    head = ["", *(f"{count} real images" for count in counts)]
    return [
        "## Low-data accuracy",
        "",
        f"{made['dataset']['name']}: accuracy of a classifier of "
        f"{made['unseen_classes']} unseen classes, by the real images of each that it "
        f"was trained on. {source(made, path.name)}. Only the rows of one kind are to "
        "be compared: the published ones are of other classes and another classifier. "
        "What was chosen where the published protocol is silent:",
        "",
        *(f"- {choice}" for choice in made["choices"]),
        "",
        *table(head, rows),
        "",
    ]


def figures():
    """The paper's figures beside ours."""
    lines = ["## The paper's figures", ""]
    for path in sorted(RESULTS.glob("data_*/counts.json")):
        made, name = json.loads(path.read_text()), path.parent.name
        lines += [
            "**1 and 2.** FIGR-8: images of many classes and of one, and how many "
            "images a class has.",
            "",
            f"Beside it {made['dataset']}: {made['images']:,} images of "
            f"{made['classes']:,} classes; the one is {made['figure1_largest']!r}. "
            f"{source(made, f'{name}/counts.json')}",
            "",
            f"![figure 1]({name}/figure1.png)",
            "",
            f"![figure 2]({name}/figure2.png)",
            "",
        ]
    for number, said in FIGURES.items():
        lines += [f"**{number}.** {said}.", ""]
        found = sorted(RESULTS.glob(f"figure_{number}_*.json"))
        for path in found:
            made = json.loads(path.read_text())
            lines += [
                f"Ours, `{made['size']}`, after {made['meta_steps']:,} meta-steps; "
                f"{', '.join(made['heldout'])}. {source(made, path.name)}",
                "",
                f"![figure {number}]({path.stem}.png)",
                "",
            ]
        if not found:
            lines += ["Ours: not made yet.", ""]
    return lines


def trials():
    """The search for a recipe, and the claims tested with it."""
    path = RESULTS / "recipe.jsonl"
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    page = [
        "## Claims",
        "",
        "Trials up to commit f333cf4 were judged by an embedding of 1,500 steps; later "
        "ones, and the reports, by one of 3,000, a stricter judge: compare within a "
        "table only.",
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
        "## The search for a recipe",
        "",
        "Every trial, also those that failed ([recipe.jsonl](recipe.jsonl); "
        "`python experiments/recipe.py`). Omniglot, split `weak`, 50 held-out classes, "
        "one support each, seed 0.",
        "",
        *table(claims.HEAD, map(claims.row, lines)),
        "",
    ]
    return page


def speed():
    """The speed of a meta-step."""
    rows = []
    for path in sorted(RESULTS.glob("speed_*.json")):
        made = json.loads(path.read_text())
        if "times_faster_than_torch" not in made:
            continue
        ratio = "{median:.2f} ({least:.2f} to {most:.2f})"
        rows.append(
            [
                f"[{made['network']}, width {made['width']}]({path.name})",
                f"{made['seconds']['ours']:.2f}",
                ratio.format_map(made["times_faster_than_torch"]),
                f"{made['share_of_product_rate']:.2f}",
                made["commit"],
            ]
        )
    head = ["networks", "seconds", "times as fast as PyTorch"]
    head += ["share of a large product's rate", "commit"]
    lines = ["## Speed", "", "`python experiments/speed/meta_step.py --vs_torch`:", ""]
    return [*lines, *table(head, rows), "", "![scaling](scaling_paper.png)", ""]


def others():
    """The results that have no table of their own."""
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        made = json.loads(path.read_text())
        shown = path.name.startswith(
            ("figure_", "low_data", "sampling", "sketches", "time_to_quality")
        )
        if not shown and "times_faster_than_torch" not in made:
            command = f"`{made['command']}`" if "command" in made else "-"
            cells = [f"[{path.name}]({path.name})", command, made.get("commit", "-")]
            rows.append(cells)
    return ["## Other results", "", *table(["file", "command", "commit"], rows), ""]


def main():
    """Writes the page."""
    head = [
        "# Results",
        "",
        "Written by `python experiments/results_page.py` from the files beside it, by "
        f"figr_jax {importlib.metadata.version('figr_jax')}; do not edit. Figures are "
        "means over classes with 95 % bootstrap intervals.",
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
        sampling,
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
