"""Plans: packing into shards, canonical bytes and hash, refusal of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.data.clip import Rejected, Split
from avatarkit.data.plan import (
    EDGE_BYTES,
    Dropped,
    Original,
    Plan,
    PlannedItem,
    PlannedShard,
    PlannedTrack,
    check_same,
    fingerprint,
    pack,
)
from avatarkit.data.plan_file import read_plan, write_plan
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError, OutputError


def item(key: str, identity: str = "id00012") -> PlannedItem:
    return PlannedItem(key, (PlannedTrack(identity, "00001", 10),))


def full_plan() -> Plan:
    rich = PlannedItem(
        "21Uxsk56VDQ",
        (PlannedTrack("id00012", "00001", 250), PlannedTrack("id00013", "00002", 40, "dev/txt")),
        Original(0, "a/21Uxsk56VDQ.mp4", 12345, "ab" * 16),
        "cd" * 16,
        (17, 4000),
        "wild",
        (("age", "31.0"), ("faces", "1")),
    )
    dropped = Dropped("31Uxsk56VDQ", "val", (("id00014", "00001"), ("id00014", "00003")), "no-original", "not there")
    shards = (PlannedShard("train-00000", "train", (rich, item("b"))), PlannedShard("val-00000", "val", (item("c"),)))
    config = {"size": 512, "seed": 0, "limit": None}
    return Plan("voxceleb2", config, {"tracker": "t"}, shards, (dropped,), (Problem("a.txt", 3, "bad"),))


def test_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    plan = full_plan()
    written = write_plan(tmp_path, plan)
    again = read_plan(tmp_path)
    assert again == plan
    assert again.hash == written.hash
    assert len(written.hash) == 64
    assert list(again.config) == list(written.config)
    assert again.config_hash == plan.config_hash
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_equal_plans_are_equal_bytes_whatever_the_order_of_settings(tmp_path: Path) -> None:
    plan = full_plan()
    turned = Plan(plan.kind, dict(reversed(plan.config.items())), plan.tools, plan.shards, plan.dropped, plan.problems)
    (tmp_path / "b").mkdir()
    assert write_plan(tmp_path, plan).hash == write_plan(tmp_path / "b", turned).hash
    assert (tmp_path / "plan.json").read_bytes() == (tmp_path / "b" / "plan.json").read_bytes()


def test_dropped_tracks_are_records_of_their_own() -> None:
    plan = full_plan()
    assert list(plan.rejected()) == [
        Rejected(f"id00014-31Uxsk56VDQ-0000{n}", "31Uxsk56VDQ", "id00014", "val", "plan", "no-original", "not there")
        for n in (1, 3)
    ]
    assert plan.samples == 4
    assert plan.shard("val-00000").items[0].key == "c"


def test_hash_follows_every_part(tmp_path: Path) -> None:
    plan = full_plan()
    variants = [
        plan,
        Plan("videos", plan.config, plan.tools, plan.shards, plan.dropped, plan.problems),
        Plan(plan.kind, {**plan.config, "size": 256}, plan.tools, plan.shards, plan.dropped, plan.problems),
        Plan(plan.kind, plan.config, {"tracker": "u"}, plan.shards, plan.dropped, plan.problems),
        Plan(plan.kind, plan.config, plan.tools, plan.shards[:1], plan.dropped, plan.problems),
        Plan(plan.kind, plan.config, plan.tools, plan.shards, (), plan.problems),
    ]
    assert len({write_plan(tmp_path, one).hash for one in variants}) == len(variants)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"version": 2}, "is avatarkit-plan 2, this program reads avatarkit-plan 1; choose another --output"),
        ({"format": "x"}, "is x 1, this program reads avatarkit-plan 1"),
        ({"kind": "songs"}, "is damaged: unknown kind 'songs'; begin again in another folder"),
        ({"shards": [3]}, "is damaged"),
        ({"dropped": [[1]]}, "is damaged"),
    ],
)
def test_other_versions_and_damage_are_refused(tmp_path: Path, change: dict[str, object], what: str) -> None:
    write_plan(tmp_path, full_plan())
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError) as caught:
        read_plan(path)
    assert what in str(caught.value)


def test_missing_plan(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such plan; avatarkit prepare-data makes it"):
        read_plan(tmp_path)


def test_plan_with_other_settings_is_refused_by_name(tmp_path: Path) -> None:
    plan = full_plan()
    check_same(plan, "voxceleb2", dict(plan.config), tmp_path)
    with pytest.raises(OutputError, match=r"planned with limit None \(now 5\), size 512 \(now 256\); use the same"):
        check_same(plan, "voxceleb2", {**plan.config, "size": 256, "limit": 5}, tmp_path)
    with pytest.raises(OutputError, match="holds a dataset of voxceleb2, not of ffhq"):
        check_same(plan, "ffhq", dict(plan.config), tmp_path)


def test_packing_by_expected_bytes() -> None:
    items = [("train", item(str(at)), size) for at, size in enumerate((100, 100, 100, 300, 100, 100))]
    shards = pack(items, target_bytes=200, least=1)  # type: ignore[arg-type]
    assert [(shard.name, [one.key for one in shard.items]) for shard in shards] == [
        ("train-00000", ["0", "1"]), ("train-00001", ["2"]), ("train-00002", ["3"]), ("train-00003", ["4", "5"]),
    ]  # fmt: skip


def test_small_sets_make_several_shards() -> None:
    few = [("train", item(str(at)), 10) for at in range(20)] + [("val", item("v"), 10)]
    shards = pack(few, target_bytes=10**9, least=8)  # type: ignore[arg-type]
    assert [len(shard.items) for shard in shards] == [2, 3, 2, 3, 2, 3, 2, 3, 1]
    assert [shard.split for shard in shards] == ["train"] * 8 + ["val"]
    unknown = pack([("train", item(str(at)), 0) for at in range(4)], target_bytes=10, least=8)
    assert [len(shard.items) for shard in unknown] == [1, 1, 1, 1]


SPLIT_NAMES: tuple[Split, ...] = ("train", "val", "test")


@given(
    st.lists(st.tuples(st.sampled_from(SPLIT_NAMES), st.integers(0, 500)), max_size=40),
    st.integers(1, 800),
    st.integers(1, 9),
)
def test_packing_loses_and_mixes_nothing(sizes: list[tuple[Split, int]], target: int, least: int) -> None:
    items = [(split, item(str(at)), size) for at, (split, size) in enumerate(sizes)]
    shards = pack(items, target_bytes=target, least=least)
    for split in SPLIT_NAMES:
        own = [one.key for shard in shards if shard.split == split for one in shard.items]
        assert own == [one.key for where, one, _ in items if where == split]
        names = [shard.name for shard in shards if shard.split == split]
        assert names == [f"{split}-{at:05d}" for at in range(len(names))]
    assert all(shard.items for shard in shards)
    sized = {one.key: size for _, one, size in items}
    for shard in shards:
        # A shard is larger than its share by no more than its own first and last item.
        own_sizes = [size for split, _, size in items if split == shard.split]
        count = min(len(own_sizes), max(least, -(-sum(own_sizes) // target)))
        assert sum(sized[one.key] for one in shard.items[1:-1]) <= sum(own_sizes) / count


def test_fingerprint_sees_size_and_both_ends(tmp_path: Path) -> None:
    path = tmp_path / "a"
    base = bytearray(3 * EDGE_BYTES)
    path.write_bytes(base)
    size, digest = fingerprint(path)
    assert size == 3 * EDGE_BYTES
    for at in (0, EDGE_BYTES - 1, 2 * EDGE_BYTES, 3 * EDGE_BYTES - 1):
        changed = bytearray(base)
        changed[at] = 1
        path.write_bytes(changed)
        assert fingerprint(path)[1] != digest
    path.write_bytes(base + b"\0")
    assert fingerprint(path)[1] != digest
    path.write_bytes(b"")
    assert fingerprint(path)[0] == 0
    with pytest.raises(InputError, match="cannot be read"):
        fingerprint(tmp_path / "none")
