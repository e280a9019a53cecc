"""Tables of the results page that read several files or a log."""

import json

import claims
from records import RESULTS, read_log

from figr_jax.common import pictures
from figr_jax.evaluation import presentation

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


def algorithms():
    """Returns the table of all Omniglot reports; writes their plot.

    The paper's algorithm and ours, measured on the same characters at 32x32.
    """
    reports = {}
    for path in sorted(RESULTS.glob("report_*/report.json")):
        report = json.loads(path.read_text())
        dataset = report["checkpoint"]["config"]["dataset"]
        is_omniglot = report["checkpoint"]["dataset"] == "omniglot"
        if is_omniglot and dataset["image_size"] == 32:
            reports[path.parent.name.removeprefix("report_")] = report
    classes = reports["omniglot"]["classes"]
    points, rows = {}, []
    for name, report in reports.items():
        assert report["classes"] == classes, f"report_{name}: has other classes"
        config, arm = report["checkpoint"]["config"], report["arms"]["model"]
        family = config["networks"]["family"]
        who = "ours" if family == "fusion" else "the paper's"
        points[f"{name} ({who})"] = _point(arm)
        cells = [f"[{name}](report_{name}/report.md)", who, family]
        cells += [config["inner"]["loss"], f"{report['checkpoint']['meta_steps']:,}"]
        rows.append([*cells, *(presentation.cell(arm, m) for m in METRICS)])
    controls = reports["omniglot"]["arms"]
    for name in ("support jittered", "held-out real"):
        points[name] = _point(controls[name])
        cells = [presentation.cell(controls[name], m) for m in METRICS]
        rows.append([name, "", "", "", "", *cells])
    titles = [presentation.METRICS[metric][0] for metric in METRICS]
    anchors = presentation.find_anchors("omniglot", points["held-out real"][0])
    picture = pictures.plane(points, anchors, "diversity", "recognizability")
    pictures.save(RESULTS / "plane_algorithms.png", picture)
    return [
        "## The paper's algorithm and ours",
        "",
        f"The same {len(classes)} characters of Omniglot. *The paper's*: its networks "
        "and its loss; the generator does not see the support. These rows are not the "
        "paper's results: the networks are smaller (width 16, 3 stages), the inner "
        "optimizer is Adam with 5 steps (10 when sampling), the learning rates differ, "
        "and there are fewer meta-steps. *Ours*: FIGR; the generator sees the support.",
        "",
        *table(["", "algorithm", "networks", "loss", "meta-steps", *titles], rows),
        "",
        "![plane](plane_algorithms.png)",
        "",
    ]


def _point(arm):
    """Returns diversity and recognizability: a point in the plane."""
    return arm["diversity"]["mean"], arm["recognizability"]["mean"]


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


# Low-data accuracy with 5, 10 and 15 real images, from the papers of MatchingGAN and
# F2GAN.
PUBLISHED = {
    "omniglot": {
        "no augmentation": (0.6622, 0.8187, 0.8331),
        "traditional augmentation": (0.6732, 0.8228, 0.8395),
        "FIGR": (0.6923, 0.8312, 0.8489),
        "F2GAN": (0.9193, 0.9248, 0.9712),
    }
}


def low_data():
    """Returns the low-data accuracy."""
    log = read_log("low_data.jsonl")
    same = "checkpoint", "dataset", "options"
    last = log[-1]
    records = {x["real"]: x for x in log if all(x[k] == last[k] for k in same)}
    records = dict(sorted(records.items()))
    rows = []
    for arm in last["accuracy"]:
        values = [record["accuracy"][arm] for record in records.values()]
        cells = [f"{x['mean']:.1%} ({x['low']:.1%}, {x['high']:.1%})" for x in values]
        rows.append([arm, *cells])
    dataset = last["dataset"]["name"]
    for arm, values in PUBLISHED.get(dataset, {}).items():
        published = dict(zip((5, 10, 15), values, strict=True))
        cells = [f"{published[n]:.1%}" if n in published else "" for n in records]
        rows.append([f"published: {arm}", *cells])
    head = ["", *(f"{count} real images" for count in records)]
    return [
        "## Low-data accuracy",
        "",
        f"{dataset}: accuracy of a classifier of {last['unseen_classes']} unseen "
        "classes, against the number of real images per class in its training. "
        f"{source(last, 'low_data.jsonl')}. Do not compare the published rows with the "
        "others: their classes and their classifier differ. "
        "[low_data.py](../low_data.py) lists all departures from their protocol.",
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
