"""Grids: what stands where."""

import numpy as np
import pytest

from figr_jax.common import pictures


@pytest.mark.parametrize("shots, count", [(4, 24), (4, 1), (1, 6), (9, 2), (8, 8)])
def test_a_panel_takes_any_number_of_images(shots, count):
    support = np.zeros((shots, 32, 32, 1), np.uint8)
    generated = np.full((count, 32, 32, 1), 100, np.uint8)
    columns = max(shots, 8)
    panel = pictures.panel(support, generated, columns)
    rows = -(-shots // columns) + -(-count // columns)
    assert panel.shape == (rows * 66, columns * 66, 3)  # enlarged to 64, and a frame
    pixels = 64 * 64
    assert (panel == 0).all(-1).sum() == shots * pixels
    assert (panel == 100).all(-1).sum() == count * pixels


def test_panels_of_other_heights_stand_side_by_side():
    row = pictures.side_by_side([np.zeros((9, 5, 3), np.uint8), np.zeros((4, 7, 3))])
    assert row.shape == (9, 5 + 16 + 7, 3)
    assert (row == 0).all(-1).sum() == 9 * 5 + 4 * 7


def test_a_sheet_is_no_wider_than_its_images():
    sheet = pictures.sheet(np.zeros((3, 8, 8, 3), np.uint8), 12)
    assert sheet.shape == (10, 30, 3)


def test_a_cumulative_density_is_a_picture():
    for values in ([20, 20], [8, 9, 4000]):
        plot = pictures.cumulative_density(np.array(values), "images", "a title")
        assert plot.shape == (400, 640, 3) and plot.dtype == np.uint8
        assert len(np.unique(plot)) > 10
