import re

import pytest
from conftest import ROOT


@pytest.mark.parametrize("page", ["README.md", "experiments/results/README.md"])
def test_every_link_leads_to_a_file(page):
    path = ROOT / page
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text())
    ours = [link for link in links if "://" not in link]
    assert ours
    assert [link for link in ours if not (path.parent / link).exists()] == []
