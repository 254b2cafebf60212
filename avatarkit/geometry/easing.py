"""Steps and limits without a corner: what begins, ends or stops softly."""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Share = TypeVar("Share", float, NDArray[np.float32], NDArray[np.float64], "Tensor")


def eased(share: Share) -> Share:
    """Shares of a way, from 0 to 1, so that it begins and ends slowly: 3 s^2 - 2 s^3."""
    result: Share = share * share * (3.0 - 2.0 * share)
    return result


def rise(values: NDArray[np.floating[Any]] | float, start: float = 0.0, stop: float = 1.0) -> Array:
    """0 up to `start`, 1 from `stop` on, smooth between."""
    return np.asarray(eased(np.clip((values - start) / (stop - start), 0.0, 1.0)), np.float64)


def fall(values: NDArray[np.floating[Any]] | float, start: float = 0.0, stop: float = 1.0) -> Array:
    """1 up to `start`, 0 from `stop` on, smooth between."""
    return np.asarray(eased(np.clip((stop - values) / (stop - start), 0.0, 1.0)), np.float64)


def held(values: NDArray[np.floating[Any]] | float, free: float, room: float) -> Array:
    """Values up to `free`, then ever slower, and never beyond `free + room`."""
    return np.where(values <= free, values, free + room * np.tanh((values - free) / room))
