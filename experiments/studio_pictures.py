"""Screenshots and timings of the studio, taken in a browser.

python experiments/studio_pictures.py --checkpoint=runs/quickstart

Draws four shaky sketches of a boat with the mouse, clicks Generate, and measures in the
page the time to the first samples and to the finished grid, with new sketches for each
click. Writes into
experiments/results studio.json and screenshots of the drawings and of the judge, on a
desktop and a phone, light and dark (studio_desktop.png, studio_phone_dark_judge.png and
so on). Needs the extras `studio` and `test`, and Chromium.
"""

import itertools
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import records
from absl import flags
from playwright import sync_api

from figr_jax.common import command, errors, files

_CHECKPOINT = flags.DEFINE_string("checkpoint", "runs/quickstart", "The run's folder.")
_PORT = flags.DEFINE_integer("port", 8765, "Port of the server.")
_REPEATS = flags.DEFINE_integer("repeats", 10, "Number of clicks to measure.")

BOAT = [  # strokes of points in [0, 1]^2
    [(0.1, 0.7), (0.25, 0.9), (0.75, 0.9), (0.9, 0.7), (0.1, 0.7)],
    [(0.5, 0.7), (0.5, 0.1), (0.85, 0.58), (0.5, 0.6)],
]
SIZES = {
    "desktop": {"width": 1280, "height": 900},
    "phone": {"width": 390, "height": 844},
}
SCHEMES = {"": "light", "_dark": "dark"}
PINNED = (1, 4)


def draw(page, rng):
    """Draws a boat in each cell with the mouse."""
    page.click("#clear")
    for canvas in page.locator(".cell canvas").all():
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        size = np.array([box["width"], box["height"]])
        for stroke in BOAT:
            points = np.array(stroke) + rng.normal(0, 0.03, (len(stroke), 2))
            points = [box["x"], box["y"]] + size * points.clip(0.02, 0.98)
            page.mouse.move(*points[0])
            page.mouse.down()
            for point in points[1:]:
                page.mouse.move(*point, steps=5)
            page.mouse.up()


def measure(page, rng):
    """Measures the seconds from a click to the first samples and to the full grid.

    The drawings are new: with the same ones, no inner step would be repeated.
    """
    draw(page, rng)
    page.click("#adapt")
    page.wait_for_selector("#gallery:not([data-finished])")
    page.wait_for_selector("#gallery[data-finished]")
    times = page.locator("#gallery").evaluate("grid => ({...grid.dataset})")
    return [float(times[name]) / 1000 for name in ("firstSamples", "finished")]


def judge(page):
    """Judges one image, so that the page shows a score."""
    page.click("#tab-judge")
    page.click("#judge-start")
    page.wait_for_selector("#judge-image")
    page.keyboard.press("g")
    page.wait_for_selector("#judge-score:not(:empty)")


def photograph(page, name):
    """Writes a screenshot of the whole page."""
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    files.write_bytes(records.RESULTS / f"{name}.png", page.screenshot(full_page=True))


def main():
    """Starts the studio, takes the screenshots, writes the times."""
    command = [sys.executable, "-m", "figr_jax.studio", f"--port={_PORT.value}"]
    command.append(f"--checkpoint={_CHECKPOINT.value}")
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while "open http" not in server.stdout.readline():
        if server.poll() is not None:
            raise errors.FailedWork("the studio did not start; see its error above")
    try:
        times = photograph_all()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
    first, finished = np.array(times).T
    result = {
        "first_samples_seconds": {"median": np.median(first), "most": first.max()},
        "finished_seconds": {"median": np.median(finished), "most": finished.max()},
        "clicks": len(times),
    }
    print(json.dumps(result))
    records.write("studio.json", result)


def visit(browser, name, suffix):
    """Opens the studio; waits until it has adapted to the example."""
    view = {"viewport": SIZES[name], "color_scheme": SCHEMES[suffix]}
    page = browser.new_page(**view)
    page.goto(f"http://127.0.0.1:{_PORT.value}")
    page.wait_for_selector("#gallery[data-finished]")
    return page


def photograph_all():
    """Takes all screenshots; returns the times of each measured click."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = visit(browser, "desktop", "")
        rng = np.random.default_rng(1)
        times = [measure(page, rng) for _ in range(_REPEATS.value)]
        page.close()
        for name, suffix in itertools.product(SIZES, SCHEMES):
            page = visit(browser, name, suffix)
            draw(page, np.random.default_rng(0))
            page.wait_for_selector("#gallery:not([data-finished])")
            page.wait_for_selector("#gallery[data-finished]")  # without a click
            for number in PINNED:
                page.locator(".shot .pin").nth(number).click()
            photograph(page, f"studio_{name}{suffix}")
            judge(page)
            photograph(page, f"studio_{name}{suffix}_judge")
            page.close()
        browser.close()
    return times


if __name__ == "__main__":
    command.run(main)
