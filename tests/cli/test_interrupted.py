"""What is said of a run that is interrupted depends on whether its output stands."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from avatarkit.cli.app import run
from avatarkit.media.output import pending_output


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("existed", [True, False])
def test_a_finished_output_is_called_complete(
    written: bool, existed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.mp4"
    if existed:
        out.write_bytes(b"old")

    def interrupted(config: Any, *rest: Any) -> None:
        with pending_output(out, overwrite=True) as new:
            new.write_bytes(b"new")
            if not written:
                raise KeyboardInterrupt
        raise KeyboardInterrupt

    monkeypatch.setattr("avatarkit.pipelines.reenact.reenact", interrupted)
    assert run(["reenact", "a.png", "b.mp4", "-o", str(out), "-q", "--overwrite"]) == 130
    said = capsys.readouterr().err
    assert ("is complete" in said) == written
    assert ("nothing was written" in said) != written


def test_native_code_that_was_importing_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Extensions built on NumPy's interface print what ends their import of it, and raise an error of their own."""

    def importing(*rest: Any) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            sys.excepthook(type(error), error, error.__traceback__)
            raise ImportError("numpy.core.multiarray failed to import") from None

    monkeypatch.setattr("avatarkit.pipelines.reenact.reenact", importing)
    assert run(["reenact", "a.png", "b.mp4", "-o", "o.mp4", "-q"]) == 143
    assert capsys.readouterr().err == "interrupted: nothing was written\n"
