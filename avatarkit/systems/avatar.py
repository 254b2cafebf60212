"""Opens a personal avatar's file with the engine of the system whose network it holds."""

from __future__ import annotations

from avatarkit.errors import InputError, UsageError
from avatarkit.systems.avatar_file import read_avatar
from avatarkit.systems.options import EngineOptions
from avatarkit.systems.protocol import Engine
from avatarkit.systems.registry import loaded, systems

__all__ = ["open_avatar"]


def open_avatar(options: EngineOptions) -> Engine:
    """The engine of an avatar's file.

    Raises:
        UsageError: none is given. InputError: it is damaged, or of a system that makes none here.
    """
    path = options.exported
    if path is None:
        raise UsageError("--engine avatar: give an avatar made by avatarkit personalize in place of the portrait")
    net = read_avatar(path).net
    makers = {name: system.avatar for name, system in systems().items() if system.avatar}
    if net.system not in makers:
        raise InputError(f"{path}: is drawn by {net.system[:80]!r}; this program's avatars are of {', '.join(makers)}")
    engine: Engine = loaded(makers[net.system])(path, net, options)
    return engine
