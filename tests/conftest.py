"""Shared test set-up: the `media` marker and repeatable property tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
MEDIA = ROOT.parent / "shared" / "media"

# One seed for every run and no deadline: a slow machine must not turn into a failing test.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `media` where the real drivers and portraits are absent."""
    if MEDIA.is_dir():
        return
    skip = pytest.mark.skip(reason="no ../shared/media beside the checkout")
    for item in items:
        if item.get_closest_marker("media"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """The folder of real drivers and portraits; for tests marked `media`."""
    return MEDIA


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The top folder of the checkout."""
    return ROOT
