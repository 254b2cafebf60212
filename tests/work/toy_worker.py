"""A worker that does what its task's payload says: a word and an argument."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from avatarkit.errors import OutputError
from avatarkit.work.claims import claim
from avatarkit.work.task import Deferred, Link, Turn
from avatarkit.work.worker import ALIVE_EVERY_S


class ToyWorker:
    """Words: upper TEXT, env NAME, crash, hang, quiet-crash, later, network, full, slow, pid."""

    def __init__(self, setup: Path) -> None:
        self._folder = setup
        self.names = {"toy": os.environ.get("TOY_NAME", "1")}
        self.advice = ("be good",)

    def work(self, turn: Turn, link: Link) -> Any:
        word, _, text = turn.task.payload.partition(" ")
        with claim(self._folder, turn.task.name):
            if word == "quiet-crash":
                os._exit(7)
            if word == "full":
                raise OutputError("no room")
            if word in ("later", "network") and not turn.last_chance:
                raise Deferred((("first", word, "not now"),))
            for step in ("first", "second"):
                if step in turn.poisoned:
                    link.done(step, turn.poisoned[step])
                    continue
                link.begin(step, 1.0 if word == "hang" else 60.0)  # a busy machine is no crash
                if step == "first" and word == "crash":
                    os._exit(9)
                if step == "first" and word == "hang":
                    time.sleep(60)
                if word == "slow":
                    time.sleep(ALIVE_EVERY_S + 0.1)
                    link.alive(0.5)
                    link.alive(0.6)  # too soon to be worth a message
                link.done(step, "fine")
        return {"env": os.environ.get(text), "pid": os.getpid()}.get(word, text.upper())

    def close(self) -> None:
        (self._folder / "closed").touch()


def open_toy(setup: Path) -> ToyWorker:
    return ToyWorker(setup)
