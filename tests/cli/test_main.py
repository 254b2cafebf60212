"""How the program is started."""

from __future__ import annotations

import os
import signal

import pytest

import avatarkit.cli.app
from avatarkit.__main__ import main

NAME = "OPENBLAS_NUM_THREADS"


@pytest.mark.parametrize(("given", "wanted"), [(None, "1"), ("3", "3")])
def test_products_of_matrices_take_one_thread_unless_asked(
    given: str | None, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setenv(NAME, given or "")
    if given is None:
        monkeypatch.delenv(NAME)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(avatarkit.cli.app, "main", lambda: seen.append(os.environ[NAME]))
    main()
    assert seen == [wanted]
