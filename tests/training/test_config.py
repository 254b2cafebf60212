"""Preset < YAML file < --set; everything unknown is refused with the nearest name."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from avatarkit.errors import InputError, UsageError
from avatarkit.systems import registry
from avatarkit.systems.megaportraits.stages.config import BaseTrain
from avatarkit.training.config import check
from avatarkit.training.resolve import flat, from_mapping, keys, resolve

STAGES = [stage.name for stage in registry.systems()["megaportraits"].stages]


def preset(stage: str, name: str) -> Any:
    return registry.recipe(stage).preset(name)


def test_later_layers_win(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("batch: 8\nloss:\n  cycle: 3\n  pixel: 1.5\n")
    found = resolve(preset("base", "paper-512"), file, ["loss.cycle=4", "optim.lr=1e-3"])
    assert isinstance(found, BaseTrain)
    assert (found.steps, found.batch, found.loss.pixel, found.loss.cycle, found.optim.lr) == (300_000, 8, 1.5, 4, 1e-3)
    assert found.loss.vgg19 == 20


def test_paper_presets_hold_the_papers_values() -> None:
    base = preset("base", "paper-512")
    published = {
        "vgg19": 20, "vggface": 4, "gaze": 5, "adversarial": 1, "feature_matching": 40, "cycle": 2, "pixel": 0,
    }  # fmt: skip
    ours = {"background": 1, "expression": 1, "vgg16": 0}
    assert base.weights == published | ours
    optim = base.optim
    assert (optim.lr, optim.lr_end, optim.beta1, optim.beta2, optim.eps) == (2e-4, 1e-6, 0.5, 0.999, 1e-8)
    assert optim.weight_decay == 1e-2
    assert [(preset("base", name).steps, preset("base", name).batch) for name in ("paper-512", "paper-256")] == [
        (300_000, 16),
        (200_000, 24),
    ]
    enhancer = preset("enhancer", "paper-512")
    assert (enhancer.steps, enhancer.batch) == (50_000, 16)
    assert enhancer.weights == {
        "l1": 100, "adversarial": 1, "feature_matching": 100, "cross_adversarial": 1, "downsampled": 10,
    }  # fmt: skip
    student = preset("student", "paper-512")
    assert (student.steps, student.batch) == (170_000, 8)
    gaze = preset("gaze", "paper-512")
    assert (gaze.weights, gaze.optim.schedule, gaze.optim.lr) == ({"mae": 15, "mse": 10}, "one-cycle", 0.8e-3)
    assert gaze.steps * gaze.batch == 60 * 60_000


@pytest.mark.parametrize("stage", STAGES)
def test_small_presets_need_no_weights_of_others(stage: str) -> None:
    for name in ("small-256", "tiny-64"):
        weights = preset(stage, name).weights
        assert not any(weights.get(key) for key in ("vgg19", "vggface", "gaze"))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", ["paper-512", "paper-256", "small-256", "tiny-64"])
def test_presets_make_sense_and_survive_json(stage: str, name: str) -> None:
    config = preset(stage, name)
    check(config)
    assert from_mapping(type(config), asdict(config), "test") == config


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["loss.cicle=1"], "no key loss.cicle; did you mean loss.cycle"),
        (["cycle=1"], "no key cycle; did you mean loss.cycle"),
        (["batches=1"], "no key batches; did you mean batch"),
        (["zzz=1"], "no key zzz; the keys are"),
        (["loss=1"], "loss is a group of keys: loss.vgg19"),
        (["batch"], "expected key=value"),
        (["batch=many"], "could not be converted to Integer"),
        (["preset=tiny-64"], "choose it with --preset"),
        (["batch=0"], "batch=0: must be at least 1"),
        (["precision=fp8"], "one of fp32, bf16"),
        (["ema=1"], "below 1"),
        (["optim.lr=-1"], "optim.lr=-1.0: must be 0 or more, and finite"),
        (["optim.lr=nan"], "finite"),
        (["optim.lr=0"], "above 0"),
        (["optim.beta1=1.5"], "optim.beta1=1.5: must be 0 or more and below 1"),
        (["optim.eps=0"], "optim.eps=0.0: must be between 1e-20 and 1"),
        (["optim.weight_decay=-1"], "optim.weight_decay=-1.0: must be 0"),
        (["optim.weight_decay=5000"], "below 1 / optim.lr"),
        (["cycle_form=foo"], "cycle_form=foo: must be one of megaportraits, cosface"),
        (["cycle_scale=inf"], "cycle_scale=inf: must be 0 or more, and finite"),
        (["batch=100000"], "at most 65536"),
        ([f"steps={10**13}"], "between 0 and"),
        (["steps=${oops}"], "steps: cannot be worked out: .*oops"),
        (["steps=???"], "steps is left open"),
        ([f"steps={'9' * 5000}"], "--set steps=9*: Exceeds the limit"),
        (["loss.pixel=-1"], "loss.pixel=-1.0: must be 0"),
        (["accumulation=5"], "batch=16 does not divide by accumulation=5"),
        ([f"loss.{key}=0" for key in preset("base", "paper-512").weights], "all loss weights are 0"),
    ],
)
def test_what_cannot_be_is_refused(sets: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        resolve(preset("base", "paper-512"), None, sets)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "text", "message"),
    [
        ("enhancer", "max_zoom=0", "max_zoom=0.0: must be between 1"),
        ("enhancer", "max_roll_deg=181", "between 0 and 180"),
        ("enhancer", "max_shift=0.5", "below 0.5"),
        ("student", "avatars=[a,a]", "ids of different clips"),
        ("student", "avatars={}", "avatars={}: "),
    ],
)
def test_what_one_stage_alone_has_is_checked_too(stage: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(preset(stage, "tiny-64"), None, [text])


def test_no_value_of_any_key_is_more_than_refused() -> None:
    """Each key once, in a stage that has it."""
    stages = {key: stage for stage in STAGES for key in keys(preset(stage, "tiny-64"))}
    assert {"optim.eps", "loss.mae", "max_zoom", "avatars", "cycle_form"} <= set(stages)
    for key, stage in stages.items():
        kind = type(flat(asdict(preset(stage, "tiny-64")))[key])
        for value in ("-1", "nan", "1e300", "text", "${oops}"):
            if (kind, value) != (bool, "-1"):  # true, to YAML's habits
                with pytest.raises(UsageError) as caught:
                    resolve(preset(stage, "tiny-64"), None, [f"{key}={value}"])
                assert "\n" not in str(caught.value)


def test_a_reference_to_another_key_is_followed() -> None:
    assert resolve(preset("base", "tiny-64"), None, ["checkpoint_every=${batch}"]).checkpoint_every == 4


def test_a_loss_of_another_stage_is_unknown() -> None:
    with pytest.raises(UsageError, match=r"no key loss\.cycle"):
        resolve(preset("gaze", "tiny-64"), None, ["loss.cycle=1"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "holds no keys"), ("a: [", "is not YAML"), (f"a: {'9' * 5000}", "is not YAML"), ("", ""),
        ("[" * 50_000, "more than 64 deep"),
    ],
)
def test_files_that_hold_no_keys(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    if not message:
        assert resolve(preset("base", "tiny-64"), file) == preset("base", "tiny-64")
        return
    with pytest.raises(InputError, match=message):
        resolve(preset("base", "tiny-64"), file)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        resolve(preset("base", "tiny-64"), tmp_path / "none.yaml")


def test_unknown_preset() -> None:
    with pytest.raises(UsageError, match="--preset paper-521: there is no such preset; did you mean paper-512"):
        preset("base", "paper-521")


def test_keys_can_all_be_set() -> None:
    config = preset("base", "tiny-64")
    assert {"loss.pixel", "optim.lr", "cycle_form"} <= set(keys(config))
    assert not {"stage", "preset"} & set(keys(config))


def test_configurations_are_frozen() -> None:
    with pytest.raises(AttributeError):
        preset("base", "tiny-64").batch = 3  # type: ignore[misc]
    assert replace(preset("base", "tiny-64"), batch=3).batch == 3


def test_nothing_outside_is_referred_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANTED_BY_NOBODY", "1234567")
    base = preset("base", "tiny-64")
    file = tmp_path / "config.yaml"
    for text in ("batch: ${oc.env:WANTED_BY_NOBODY}", "optim: {schedule: '${oc.env:WANTED_BY_NOBODY}'}"):
        file.write_text(text)
        with pytest.raises(UsageError, match="refers to something else") as caught:
            resolve(base, file)
        assert "1234567" not in str(caught.value)
    for value in ("${oc.env:WANTED_BY_NOBODY}", "${batch}"):
        saved = {**asdict(base), "precision": value}
        with pytest.raises(UsageError, match="precision refers to something else") as caught:
            from_mapping(type(base), saved, "x")
        assert "1234567" not in str(caught.value)


def test_parts_that_repeat_each_other_are_not_read(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError, match="write each value out"):
        resolve(preset("base", "tiny-64"), tmp_path / "config.yaml")
