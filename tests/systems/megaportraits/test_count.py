from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from avatarkit.nets.blocks import ResBlock3D
from avatarkit.nets.convs import Style
from avatarkit.nets.count import counted, layers_counted, parameters_of
from avatarkit.systems.megaportraits.build import build_base
from avatarkit.systems.megaportraits.config import PRESETS
from avatarkit.systems.megaportraits.count import NetCount, count_base, count_preset

# Facts of the published sizes: millions of parameters, billions of operations per frame at 512 px.
PUBLISHED = {
    "E_app, local": (8.6, 760),
    "W, source": (9.8, 8),
    "W, driver": (9.8, 8),
    "G_3D": (58, 880),
    "P + G_2D": (41, 500),
}


def test_multiply_adds_count_twice() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 25, 2))
    with counted(net) as flops:
        net(torch.rand(2, 3, 5, 5))
    assert flops == [2 * 2 * (25 * 4 * 27 + 2 * 100)]
    net(torch.rand(2, 3, 5, 5))
    assert flops == [2 * 2 * (25 * 4 * 27 + 2 * 100)]


def test_any_networks_are_counted_where_they_run() -> None:
    net, other = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(100, 2)), nn.Linear(2, 2)
    picture = torch.rand(1, 3, 5, 5)
    with counted(net) as flops:
        net(picture)
    with layers_counted() as passed, ThreadPoolExecutor(1) as elsewhere:
        net(picture)
        elsewhere.submit(net, picture).result()
    net(picture)
    other(torch.rand(1, 2))
    assert passed.flops == 2 * flops[0]
    assert passed.parameters == parameters_of(net)


def test_three_dimensional_block_counts_all_its_convolutions() -> None:
    block = ResBlock3D(4, 8, Style(groups=4))
    with counted(block) as flops:
        block(torch.rand(1, 4, 2, 3, 3))
    assert flops == [2 * 18 * (27 * 4 * 8 + 27 * 8 * 8 + 4 * 8)]


@pytest.fixture(scope="module")
def counts() -> dict[str, dict[str, NetCount]]:
    return {name: {count.net: count for count in count_preset(preset)} for name, preset in PRESETS.items()}


def test_published_sizes(counts: dict[str, dict[str, NetCount]]) -> None:
    for net, (millions, billions) in PUBLISHED.items():
        found = counts["paper-512"][net]
        assert found.parameters / 1e6 == pytest.approx(millions, rel=0.01), net
        assert found.flops / 1e9 == pytest.approx(billions, rel=0.01), net


def test_small_base_model_stays_under_15_million() -> None:
    with torch.device("meta"):
        assert parameters_of(build_base(PRESETS["small-256"].base, seed=0)) <= 15e6


def test_parts_of_the_base_model_are_all_of_it() -> None:
    preset = PRESETS["tiny-64"]
    assert sum(count.parameters for count in count_base(preset)) == parameters_of(build_base(preset.base, seed=0))


def test_every_network_is_counted(counts: dict[str, dict[str, NetCount]]) -> None:
    for found in counts.values():
        assert len(found) == 15
        assert all(count.flops > 0 and count.parameters > 0 for count in found.values())
        assert {count.runs for count in found.values()} == {"source", "frame", "source and frame", "training"}


def test_table_in_the_documentation(counts: dict[str, dict[str, NetCount]], repo_root: Path) -> None:
    def cell(count: NetCount) -> str:
        billions = count.flops / 1e9
        return (
            f"{count.parameters / 1e6:.3g} / {billions:,.0f}"
            if billions >= 1000
            else (f"{count.parameters / 1e6:.3g} / {billions:.3g}")
        )

    readme = repo_root / "avatarkit" / "systems" / "megaportraits" / "README.md"
    lines = readme.read_text(encoding="utf-8").splitlines()
    for net, count in counts["paper-512"].items():
        (row,) = [line for line in lines if line.startswith(f"| {net} | {count.runs} |")]
        assert row.split(" | ")[3:] == [
            *(cell(counts[name][net]) for name in list(PRESETS)[:-1]),
            cell(counts["tiny-64"][net]) + " |",
        ]


def test_the_package_itself_is_light() -> None:
    code = "import sys, avatarkit.nets, avatarkit.nets.features; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0
