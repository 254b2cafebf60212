"""Means of what the steps tell, since they were last asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from accelerate import Accelerator

from avatarkit.training import hardware


class Meters:
    """Sums up the figures of steps on their device, so that no step waits for a number that is not shown."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._begin()

    def add(self, values: Mapping[str, torch.Tensor], images: int) -> None:
        """Take in one step of `images` samples."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=value.device)) + value.float()
        self._steps += 1
        self._images += images

    def take(self) -> dict[str, float]:
        """Means over the steps and processes since the last call, samples per second, peak memory.

        Every process has to call it, since they exchange their sums.
        """
        names = sorted(self._sums)
        means = torch.stack([self._sums[name].to(self._accelerator.device) for name in names]) / self._steps
        if self._accelerator.num_processes > 1:
            means = self._accelerator.reduce(means, reduction="mean")
        result = dict(zip(names, means.tolist(), strict=True))
        result["images_per_s"] = self._images / max(time.monotonic() - self._since, 1e-9)
        memory = hardware.peak_memory_gib(self._accelerator.device)
        if memory is not None:
            result["peak_memory_gib"] = memory
        self._begin()
        return result

    def _begin(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._steps = self._images = 0
        self._since = time.monotonic()
