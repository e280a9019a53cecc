"""Fits cubic Bézier curves to a closed outline.

Schneider, "An Algorithm for Automatically Fitting Digitized Curves", Graphics Gems,
1990, applied between the corners of the outline. A point x, y is the complex x + iy.
"""

import numpy as np

_STEP = 0.25  # distance of the points that curves are fitted to
_WINDOW = 5  # points on each side of a point that decide whether it is a corner
_CORNER = np.radians(50)  # least turn at a corner
_ROUNDED = 3  # points on each side of a corner that are rounded off
_SIDE = 3  # points from which the direction of a corner's side is taken
_NEAR = 0.6  # distance that a corner moves at most to become sharp
_TANGENT = 2  # points on each side of a node that decide its tangent
_ROUNDS = 4  # of reparameterization
_HOPELESS = 4  # tolerances of error above which reparameterization cannot help


def fit(loop, tolerance):
    """Fits curves to a closed outline; they join smoothly except at corners.

    Args:
      loop: `[n]` complex, the points of a closed polygon. The unit is a pixel of the
        image whose outline it is, which rounds off corners by about one unit.
      tolerance: maximum distance from the outline to the curves, except at corners.

    Returns:
      A list of complex arrays, each beginning where the one before ends: `[2]` the ends
      of a line, or `[4]` the control points of a cubic Bézier curve.
    """
    points = _resample(loop)
    corners = _find_corners(points)
    if len(corners):
        sections = _cut(points, corners)
    else:
        points = np.roll(points, -points.imag.argmin())
        sections = [np.append(points, points[0])]
    segments = []
    for section in sections:
        if len(corners) and _is_line(section, tolerance):
            segments.append(section[[0, -1]])
            continue
        near = min(_TANGENT, len(section) - 1)
        start = _unit(section[near] - section[0])
        end = _unit(section[-1 - near] - section[-1])
        if not len(corners):
            start = _unit(start - end)
            end = -start
        segments += _fit_section(section, start, end, tolerance)
    return segments


def _resample(loop):
    """Returns points of equal distance along a closed polygon."""
    closed = np.append(loop, loop[0])
    along = np.append(0, np.abs(np.diff(closed)).cumsum())
    count = max(4 * _WINDOW, round(along[-1] / _STEP))
    return np.interp(np.arange(count) * along[-1] / count, along, closed)


def _find_corners(points):
    """Returns the indices where a closed outline turns most, and sharply."""
    before, after = (points - np.roll(points, n) for n in (_WINDOW, -_WINDOW))
    turn = np.abs(np.angle(-after * before.conj()))
    near = [np.roll(turn, n) for n in range(-_WINDOW, _WINDOW + 1)]
    return np.flatnonzero((turn == np.max(near, axis=0)) & (turn > _CORNER))


def _cut(points, corners):
    """Cuts a closed outline at its corners, which become sharp."""
    tips = _sharpen(points, corners)
    lengths = np.diff(corners, append=corners[0] + len(points))
    sections = []
    for i, (first, length) in enumerate(zip(corners, lengths, strict=True)):
        cut = min(_ROUNDED, length // 3)
        inner = np.roll(points, -first - cut)[: length - 2 * cut + 1]
        sections.append(np.array([tips[i], *inner, tips[(i + 1) % len(tips)]]))
    return sections


def _sharpen(points, corners):
    """Returns the points where the sides of each corner meet, if they are near."""
    (before, after), (far_before, far_after) = (
        [points[(corners + sign * n) % len(points)] for sign in (-1, 1)]
        for n in (_ROUNDED, _ROUNDED + _SIDE)
    )
    arriving, leaving = before - far_before, far_after - after
    turn = (arriving.conj() * leaving).imag
    gap = ((after - before).conj() * leaving).imag
    forward = gap / np.where(turn == 0, np.inf, turn)
    tips = before + forward * arriving
    is_near = (forward > 0) & (np.abs(tips - points[corners]) < _NEAR)
    return np.where(is_near, tips, points[corners])


def _is_line(points, tolerance):
    chord = points[-1] - points[0]  # zero for a loop with one corner
    off = ((points - points[0]) * _unit(chord).conj()).imag
    return chord != 0 and np.abs(off).max() < tolerance


def _fit_section(points, start, end, tolerance):
    """Fits curves to points, given the unit tangents at both ends, which point in."""
    along = np.append(0, np.abs(np.diff(points)).cumsum())
    t = along / along[-1]
    for _ in range(_ROUNDS):
        curve = _solve(points, t, start, end)
        off = _basis(t) @ curve - points
        worst = np.abs(off).max()
        if worst < tolerance or len(points) <= 4:
            return [curve]
        if worst > _HOPELESS * tolerance:
            break
        t = _reparameterize(curve, off, t)
    middle = np.clip(np.abs(off).argmax(), 2, len(points) - 3)
    near = min(_TANGENT, middle, len(points) - 1 - middle)
    tangent = _unit(points[middle + near] - points[middle - near])
    return [
        *_fit_section(points[: middle + 1], start, -tangent, tolerance),
        *_fit_section(points[middle:], tangent, end, tolerance),
    ]


def _solve(points, t, start, end):
    """Finds the cubic with the given end tangents that is nearest to the points.

    Args:
      points: `[n]` complex; the curve begins and ends with the first and the last.
      t: `[n]` ascending parameters of the points, from 0 to 1.
      start: unit tangent at the first point.
      end: unit tangent at the last point.

    Returns:
      `[4]` complex, the control points.
    """
    basis = _basis(t)
    fixed = basis @ points[[0, 0, -1, -1]]
    handles = basis[:, 1:3] * [start, end]
    lengths, *_ = np.linalg.lstsq(
        np.concatenate([handles.real, handles.imag]),
        np.concatenate([(points - fixed).real, (points - fixed).imag]),
    )
    chord, longest = abs(points[-1] - points[0]), np.abs(np.diff(points)).sum()
    # Such a curve would loop; Schneider's heuristic.
    if min(lengths) < 0.01 * chord or max(lengths) > longest:
        lengths = np.full(2, chord / 3)
    return points[[0, 0, -1, -1]] + [0, lengths[0] * start, lengths[1] * end, 0]


def _reparameterize(curve, off, t):
    """Moves each parameter nearer to its point by a Newton step."""
    first = 3 * np.diff(curve)
    second = 2 * np.diff(first)
    speed = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], -1) @ first
    change = np.stack([1 - t, t], -1) @ second
    slope = np.abs(speed) ** 2 + (off * change.conj()).real
    step = (off * speed.conj()).real / np.where(np.abs(slope) > 1e-9, slope, np.inf)
    return np.maximum.accumulate(np.clip(t - step, 0, 1))


def _basis(t):
    """Evaluates the cubic Bernstein polynomials: `[n]` to `[n, 4]`."""
    return np.stack(
        [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=-1
    )


def _unit(z):
    return z / max(abs(z), 1e-12)
