"""Twenty kinds of shaky sketches, and a function that generates more of each."""

import numpy as np
from PIL import Image, ImageDraw

SIDE = 128  # pixels of a sketch


def _circle(x, y, radius, points=16):
    angles = np.linspace(0, 2 * np.pi, points + 1)
    return [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]


def _box(left, top, right, bottom):
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return [*corners, corners[0]]


_STAR = [
    (0.5 + r * np.sin(a), 0.52 - r * np.cos(a))
    for a, r in zip(
        np.linspace(0, 2 * np.pi, 11), [0.42, 0.17] * 5 + [0.42], strict=True
    )
]
# Strokes of points in [0, 1]^2, y downwards.
SKETCHES = {
    "house": [
        _box(0.2, 0.45, 0.8, 0.9),
        [(0.12, 0.5), (0.5, 0.12), (0.88, 0.5)],
        _box(0.42, 0.65, 0.58, 0.9),
    ],
    "fish": [
        [(0.1, 0.5), (0.3, 0.28), (0.55, 0.3), (0.72, 0.5), (0.9, 0.3), (0.9, 0.7)]
        + [(0.72, 0.5), (0.55, 0.7), (0.3, 0.72), (0.1, 0.5)],
        [(0.28, 0.45), (0.3, 0.45)],
    ],
    "boat": [
        [(0.1, 0.65), (0.9, 0.65), (0.72, 0.88), (0.28, 0.88), (0.1, 0.65)],
        [(0.5, 0.65), (0.5, 0.12), (0.8, 0.55), (0.5, 0.55)],
    ],
    "cup": [
        [(0.2, 0.25), (0.25, 0.85), (0.6, 0.85), (0.65, 0.25), (0.2, 0.25)],
        [(0.64, 0.38), (0.85, 0.38), (0.85, 0.65), (0.62, 0.65)],
    ],
    "star": [_STAR],
    "tree": [
        [(0.5, 0.08), (0.2, 0.45), (0.35, 0.45), (0.12, 0.72), (0.88, 0.72)]
        + [(0.65, 0.45), (0.8, 0.45), (0.5, 0.08)],
        _box(0.44, 0.72, 0.56, 0.92),
    ],
    "face": [
        _circle(0.5, 0.5, 0.4),
        _circle(0.36, 0.4, 0.04, 6),
        _circle(0.64, 0.4, 0.04, 6),
        [(0.32, 0.62), (0.42, 0.72), (0.58, 0.72), (0.68, 0.62)],
    ],
    "sun": [_circle(0.5, 0.5, 0.2)]
    + [
        [(0.5 + r * np.cos(a), 0.5 + r * np.sin(a)) for r in (0.28, 0.43)]
        for a in np.linspace(0, 2 * np.pi, 9)[:-1]
    ],
    "flower": [
        *(
            _circle(0.5 + 0.19 * np.cos(a), 0.32 + 0.19 * np.sin(a), 0.11, 10)
            for a in np.linspace(0, 2 * np.pi, 6)[:-1]
        ),
        [(0.5, 0.5), (0.5, 0.93)],
    ],
    "key": [
        _circle(0.25, 0.5, 0.16),
        [(0.41, 0.5), (0.9, 0.5), (0.9, 0.66)],
        [(0.74, 0.5), (0.74, 0.64)],
    ],
    "umbrella": [
        [(0.1, 0.5), (0.2, 0.25), (0.5, 0.12), (0.8, 0.25), (0.9, 0.5), (0.1, 0.5)],
        [(0.5, 0.5), (0.5, 0.82), (0.6, 0.9), (0.68, 0.82)],
    ],
    "car": [
        [(0.08, 0.65), (0.08, 0.48), (0.28, 0.45), (0.38, 0.25), (0.68, 0.25)]
        + [(0.78, 0.45), (0.92, 0.5), (0.92, 0.65), (0.08, 0.65)],
        _circle(0.28, 0.7, 0.1),
        _circle(0.72, 0.7, 0.1),
    ],
    "envelope": [
        _box(0.1, 0.25, 0.9, 0.78),
        [(0.1, 0.25), (0.5, 0.55), (0.9, 0.25)],
    ],
    "arrow": [
        [(0.1, 0.4), (0.55, 0.4), (0.55, 0.2), (0.92, 0.5), (0.55, 0.8)]
        + [(0.55, 0.6), (0.1, 0.6), (0.1, 0.4)]
    ],
    "heart": [
        [(0.5, 0.88), (0.12, 0.48), (0.14, 0.25), (0.32, 0.17), (0.5, 0.32)]
        + [(0.68, 0.17), (0.86, 0.25), (0.88, 0.48), (0.5, 0.88)]
    ],
    "glasses": [
        _circle(0.27, 0.52, 0.17),
        _circle(0.73, 0.52, 0.17),
        [(0.44, 0.5), (0.5, 0.45), (0.56, 0.5)],
    ],
    "bottle": [
        [(0.42, 0.08), (0.42, 0.32), (0.3, 0.48), (0.3, 0.92), (0.7, 0.92)]
        + [(0.7, 0.48), (0.58, 0.32), (0.58, 0.08), (0.42, 0.08)]
    ],
    "ladder": [
        [(0.32, 0.08), (0.28, 0.92)],
        [(0.68, 0.08), (0.72, 0.92)],
        *([(0.31, y), (0.69, y)] for y in (0.25, 0.42, 0.59, 0.76)),
    ],
    "bird": [
        [(0.08, 0.35), (0.3, 0.28), (0.5, 0.52), (0.7, 0.28), (0.92, 0.35)],
        [(0.5, 0.52), (0.42, 0.68), (0.5, 0.74), (0.58, 0.68), (0.5, 0.52)],
    ],
    "chair": [
        [(0.28, 0.08), (0.28, 0.92)],
        [(0.28, 0.55), (0.74, 0.55), (0.74, 0.92)],
        [(0.28, 0.25), (0.4, 0.25), (0.4, 0.55)],
    ],
}


def sketch(strokes, rng):
    """Renders strokes with jitter and a random pen width to a PIL image."""
    image = Image.new("L", (SIDE, SIDE), 255)
    pen, width = ImageDraw.Draw(image), int(rng.integers(6, 12))
    for stroke in strokes:
        points = SIDE * (np.array(stroke) + rng.normal(0, 0.03, (len(stroke), 2)))
        pen.line([tuple(p) for p in points], fill=0, width=width, joint="curve")
    return image


def redraw(model, drawings, count, seed):
    """Adapts to drawings as `figr_jax.sample` does, and generates images.

    Args:
      model: `generation.FewShotGenerator`.
      drawings: list of PIL images.
      count: number of images to generate.
      seed: seed of adaptation and latents.

    Returns:
      The support `[shots, H, W, C]` and the images `[count, H, W, C]`, uint8.
    """
    support = model.read(drawings)
    return support, model.adapt(support, seed).generate(count, seed)
