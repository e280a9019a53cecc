"""Tables of the page of all results: logs of trials, claims, low data and speed."""

import json

import claims
from records import RESULTS, read_log

METRICS = ("recognizability", "diversity", "kid", "recall", "pooled_copying")


def table(head, rows):
    """Formats a Markdown table, a list of lines."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def source(record, name):
    """Formats the source of a result: file, command, date and commit."""
    commit = f", commit {record['commit']}" if record.get("commit") else ""
    date = f", {record['date']}" if record.get("date") else ""
    return f"[{name}]({name}): `{record['command']}`{date}{commit}"


OLD_SIMCLR = (
    "Rows of commit c69d23e and earlier have a diversity and a Z_U of an older SimCLR; "
    "these two cannot be compared with later rows."
)


def tuning():
    """Returns the table of quality.jsonl: trained models with sampling settings."""
    rows = []
    for record in read_log("quality.jsonl"):
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
    """Returns the table of sweep trials."""
    rows = []
    for record in read_log("sweep.jsonl"):
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
        "trained on Omniglot, split `weak`, 4 shots. Means over 50 tuning "
        "classes, 32 images each. Until commit 5bf3756 the loss of "
        "configs/omniglot_fusion.py was `wgan_gp`. Commit 932dbf2-dirty had the code "
        "of two patches, which was switched off in all other trials. Trials of commits "
        "8b279cb-dirty and 60cfb0b-dirty were measured at their end only, by a copy of "
        "sweep.py with the code of the patches that their rows name. "
        f"{OLD_SIMCLR}",
        "",
        *table([*head, *METRICS, "commit"], rows),
        "",
    ]


def low_data():
    """Returns the low-data accuracy."""
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


def trials():
    """Returns the tested claims and all trials of the config search."""
    page = [
        "## Claims",
        "",
        "Trials up to commit f333cf4 were measured with an embedding of 1,500 training "
        "steps. Later trials, and the reports, use one of 3,000 steps, which is "
        "stricter. Compare values within a table only.",
        "",
    ]
    for name, (question, arms) in claims.CLAIMS.items():
        measured = claims.read(arms)
        question = question[0].upper() + question[1:]
        page += [f"**{question}** (`python experiments/claims.py {name}`)", ""]
        page += (
            table(claims.HEAD, map(claims.row, measured))
            if measured
            else ["Not measured yet."]
        )
        page += [""]
    page += [
        "## Config search",
        "",
        "All trials of [claims.jsonl](claims.jsonl): Omniglot, split `weak`, 50 "
        "held-out classes, one support per class, seed 0.",
        "",
        *table(claims.HEAD, map(claims.row, read_log("claims.jsonl"))),
        "",
    ]
    return page


def speed():
    """Returns the speed of a meta-step."""
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
