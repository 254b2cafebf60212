"""Following one person through a video by place and looks, past others who cross, and never on to one of them.

While only one face is near, place decides: looks may change slowly. Where others are near they are followed too, and a
face belongs to the one whose looks it fits best. A face that was lost is taken again only where the looks fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.boxes import Box, cut_out, iou, square
from avatarkit.face.landmarks import RIGID
from avatarkit.face.looks import Looks, blended, difference, looks_of
from avatarkit.face.place import Place, moved_by, searched
from avatarkit.face.search import BESIDE_MOVING, SMALLEST_FACE_PX, least_px
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face
from avatarkit.geometry.similarity import fit

__all__ = ["NEW_SHOT_SIZES", "PersonFollower", "Sight", "belongs", "faces_in"]

Frame = NDArray[np.uint8]
Choose = Callable[[tuple[Face, ...]], Face]
_Hit = tuple[Face, Looks]

NEW_SHOT_SIZES = 1.2
"""A face found again farther than this (in face sizes) from where it was lost has jumped."""

# While nothing is found, the wide search runs on every n-th frame only: it costs more than following.
_SEARCH_EVERY = 3
# Looks (`looks.difference`): the same person within a shot, and the most that one may change between two frames.
_SAME, _STEADY = 0.075, 0.04
# In one place with nobody else near, and across a cut: the light may have changed, and how much of the person shows.
_SAME_ALONE, _SAME_AFTER_CUT = 0.15, 0.2
# Another light leaves the shape. Over 300 frames of drivers it changed by 0.033 at most from one to the next; of 83
# pairs of people with looks alike enough for that light, 79 differ by more.
_SAME_SHAPE = 0.032
# Where others are near, a face is the person's if it fits so much better than it fits any of them.
_BETTER = 0.7
# What ten face sizes of distance weigh against a difference of looks.
_PLACE_WEIGHT = 0.1
_LEARNING = 1.0 / 12.0
# How often others are looked for, the window's side in faces and in pixels, and the share of the face that counts.
_GLANCE_EVERY, _GLANCE_SIDES, _GLANCE_PX, _OTHER_SIZE = 20, 4.0, 250, 0.4
# Others are followed up to this many face sizes away, and this long while they are not seen; as many at once.
_NEAR_SIZES, _FORGET_AFTER, _MOST_OTHERS = 5.0, 25, 4
_SAME_PLACE_IOU, _SAME_IOU, _STEADY_IOU = 0.35, 0.2, 0.6
# A face belongs to a box if its middle is this near, in sides of the box, and its size this like the box's.
_BOX_NEAR, _BOX_SMALLEST, _BOX_LARGEST = 0.5, 0.4, 2.2
_BOX_SEARCH_SIDES = 2.2


@dataclass(frozen=True)
class Sight:
    """What one frame shows of the person.

    face: None where the person is not seen. jumped: it appeared far from where it was lost. stranger: a face is where
    the person could be, and it is somebody else's. changed: after a cut, with looks that may be somebody else's.
    drifted: the face left its box.
    """

    face: Face | None
    jumped: bool = False
    stranger: bool = False
    changed: bool = False
    drifted: bool = False


@dataclass
class _Other:
    """Somebody else who is near: looks, where last seen, and for how many frames not since."""

    looks: Looks
    last: Face
    unseen: int = 0


@dataclass
class _Person:
    looks: Looks
    recent: Looks
    last: Face | None
    missing: int = 0
    stranger: bool = False
    place: Place | None = None
    after_cut: bool = False
    others: list[_Other] = field(default_factory=list)


class PersonFollower:
    """Finds a face, follows the person it belongs to, and finds the person again; with a dense tracker."""

    def __init__(
        self, tracker: FaceTracker, choose: Choose | None = None, *, beside: float = BESIDE_MOVING
    ) -> None:
        """Begin with nobody.

        Args:
            tracker: finds and follows.
            choose: chooses among the faces where some first appear; None: the largest.
            beside: as in `FaceTracker.detect`, until a face has been chosen.
        """
        self._tracker, self._beside = tracker, beside
        self._choose = choose or _largest
        self.forget()

    def forget(self) -> None:
        """Begin anew, with whoever is chosen next."""
        self._person: _Person | None = None
        self._frames = 0

    def cut(self) -> None:
        """A new shot begins: places are forgotten, looks are not."""
        self._frames = 0
        if self._person is not None:
            self._person = replace(self._person, last=None, place=None, missing=0, after_cut=True, others=[])

    @property
    def known(self) -> bool:
        """Whether a face has been chosen."""
        return self._person is not None

    def upcoming(self, moved: tuple[float, float], then: tuple[float, float]) -> Face | None:
        """The face around whose place the frame after the next will be searched first, if nothing happens meanwhile.

        It is known before the next frame has been looked at, so that two frames can be looked at at a time.

        Args:
            moved, then: how far the picture's content moves up to the next frame, and from there to the one after it.
        """
        person = self._person
        if person is None or person.last is None or person.missing:
            return None
        last = moved_by(person.last, *moved)
        return searched(person.place, last, moved).after(then)

    def step(self, frame: Frame, moved: tuple[float, float] = (0.0, 0.0), box: Box | None = None) -> Sight:
        """The person in the next frame.

        Args:
            frame: RGB uint8 (H, W, 3).
            moved: how far the picture's content moved since the frame before, in pixels.
            box: where the person is known to be, in pixels; None: anywhere.
        """
        person = self._person
        if person is None:
            return self._begin(frame, box)
        self._frames += 1
        places = () if person.last is None else (moved_by(person.last, *moved), person.last)[: 2 if any(moved) else 1]
        self._follow_others(person, frame, moved)
        hit, stranger, drifted, place = None, person.missing > 0 and person.stranger, False, None
        if places and not person.missing:
            place = searched(person.place, places[0], moved)
            tried = (place.around, *(other for other in places if other is not place.around))
            face = next((face for place in tried if (face := self._tracker.follow(frame, place)) is not None), None)
            drifted = face is not None and box is not None and not belongs(face, box)
            if face is not None and not drifted:
                hit = self._followed(person, frame, face, places)
                stranger = hit is None
        jumped = changed = False
        person.place = place if hit is not None else None
        if hit is None and (person.missing % _SEARCH_EVERY == 0 or (person.others and person.missing <= _FORGET_AFTER)):
            hit, seen = self._again(person, frame, places, box)
            stranger = seen and hit is None
            if hit is not None:
                jumped = min((_distance(hit[0], place) for place in places), default=0.0) > NEW_SHOT_SIZES
                changed = person.after_cut and difference(hit[1], person.looks) > _SAME
        if hit is None:
            person.missing, person.stranger = person.missing + 1, stranger
            person.last = places[0] if places else None
            return Sight(None, stranger=stranger, drifted=drifted)
        self._learn(person, *hit)
        return Sight(hit[0], jumped, changed=changed)

    def _begin(self, frame: Frame, box: Box | None) -> Sight:
        result = self._find(frame, None, self._frames, box)
        self._frames += 1
        if not result:
            return Sight(None)
        face = self._choose(result) if box is None else min(result, key=lambda face: _offset(face, box))
        looks = looks_of(frame, face)
        self._person = _Person(looks, looks, face)
        for other in result:
            if other is not face:
                self._meet(self._person, frame, other)
        self._frames = 0
        return Sight(face)

    def _find(self, frame: Frame, last: Face | None, missing: int, box: Box | None) -> tuple[Face, ...]:
        """Faces of the frame, or of the part that a box is about."""
        if box is None:
            if last is None and missing % _SEARCH_EVERY:
                return ()
            least = least_px(last.extent_px if last else None, missing)
            beside = self._beside if self._person is None else BESIDE_MOVING
            return self._tracker.detect(frame, least_px=least, beside=beside)
        least = _BOX_SMALLEST * max(box[2] - box[0], box[3] - box[1])
        result = faces_in(self._tracker, frame, square(box, _BOX_SEARCH_SIDES), least_px=least)
        return tuple(face for face in result if belongs(face, box))

    def _follow_others(self, person: _Person, frame: Frame, moved: tuple[float, float]) -> None:
        """Where the others are now; those long unseen or far away are left."""
        for other in person.others:
            other.last = moved_by(other.last, *moved)
            face = self._tracker.follow(frame, other.last) if other.unseen == 0 else None
            other.unseen = 0 if face is not None else other.unseen + 1
            other.last = face or other.last
        here = person.last
        person.others = [
            other
            for other in person.others
            if other.unseen <= _FORGET_AFTER and (here is None or _distance(other.last, here) <= _NEAR_SIZES)
        ]

    def _glance(self, person: _Person, frame: Frame, face: Face) -> None:
        """Look for others around the face, and meet those who are new."""
        part = cut_out(frame, square(face.box, _GLANCE_SIDES))
        if part is None:
            return
        known = [face.box, *(other.last.box for other in person.others)]
        # Every n-th pixel is enough, and spares the detector most of its time.
        step = max(1, max(part[0].shape[:2]) // _GLANCE_PX)
        for x0, y0, x1, y1 in self._tracker.glance(np.ascontiguousarray(part[0][::step, ::step])):
            there = x0 * step + part[1], y0 * step + part[2], x1 * step + part[1], y1 * step + part[2]
            size = max(there[2] - there[0], there[3] - there[1])
            if size >= _OTHER_SIZE * face.extent_px and all(iou(there, item) < _SAME_IOU for item in known):
                for other in faces_in(self._tracker, frame, square(there, 2.0), least_px=math.inf):
                    if iou(other.box, face.box) < _SAME_IOU:
                        self._meet(person, frame, other)

    def _meet(self, person: _Person, frame: Frame, face: Face) -> None:
        """Remember somebody else's face, unless it is one of the others' that are followed already."""
        if all(iou(face.box, other.last.box) < _SAME_PLACE_IOU for other in person.others):
            person.others = [*person.others, _Other(looks_of(frame, face), face)][-_MOST_OTHERS:]

    def _followed(self, person: _Person, frame: Frame, face: Face, places: Sequence[Face]) -> _Hit | None:
        """The face that was followed, with its looks, if it is still the person's."""
        if self._frames % _GLANCE_EVERY == 0:
            self._glance(person, frame, face)
        looks = looks_of(frame, face)
        away = difference(looks, person.looks)
        if person.others:
            same = self._is_best(person, looks, away)
        else:
            # One after another: of most frames the first says enough.
            same = away <= _SAME or difference(looks, person.recent) <= _STEADY
            if not same and away <= _SAME_ALONE:
                same_place = max(iou(face.box, place.box) for place in places) >= _STEADY_IOU
                same = same_place and _change_of_shape(places[0], face) <= _SAME_SHAPE
        if same:
            return face, looks
        self._meet(person, frame, face)
        return None

    def _is_best(self, person: _Person, looks: Looks, away: float) -> bool:
        """Whether looks are the person's rather than those of any other near."""
        theirs = min((difference(looks, other.looks) for other in person.others), default=math.inf)
        return away <= _SAME_ALONE and away <= _BETTER * theirs

    def _again(
        self, person: _Person, frame: Frame, places: Sequence[Face], box: Box | None
    ) -> tuple[_Hit | None, bool]:
        """The person among the faces of a frame, and whether any face was there."""
        result = self._find(frame, places[0] if places else None, person.missing, box)
        limit = _SAME_AFTER_CUT if person.after_cut else _SAME
        largest = max((face.extent_px for face in result), default=1.0)
        best: tuple[float, _Hit] | None = None
        for face in result:
            looks = looks_of(frame, face)
            away = difference(looks, person.looks)
            if away > limit or (person.others and not self._is_best(person, looks, away)):
                continue
            # Of those with like looks the nearest one, and after a cut the largest.
            far = min(_distance(face, place) for place in places) if places else 1.0 - face.extent_px / largest
            cost = away + _PLACE_WEIGHT * min(1.0, far / 10.0)
            if best is None or cost < best[0]:
                best = cost, (face, looks)
        for face in result:
            if best is None or face is not best[1][0]:
                self._meet(person, frame, face)
        return None if best is None else best[1], bool(result)

    def _learn(self, person: _Person, face: Face, looks: Looks) -> None:
        """Take a face as the person's: its place, and where nobody else is near also its looks."""
        for other in person.others:
            if iou(face.box, other.last.box) >= _SAME_PLACE_IOU:
                other.unseen = max(1, other.unseen)
        near = any(iou(square(face.box, 1.5), other.last.box) > 0 for other in person.others)
        if person.after_cut:
            person.looks = looks
        elif not near:
            person.looks = blended(person.looks, looks, _LEARNING)
        person.last, person.recent, person.missing, person.after_cut = face, looks, 0, False


def faces_in(
    tracker: FaceTracker,
    frame: Frame,
    window: Box,
    *,
    least_px: float = SMALLEST_FACE_PX,
    beside: float = BESIDE_MOVING,
) -> tuple[Face, ...]:
    """The faces in one part of a frame, in pixels of the frame: cheaper and finer than searching all of it.

    `least_px` and `beside` as in `FaceTracker.detect`.
    """
    part = cut_out(frame, window)
    if part is None:
        return ()
    picture, left, top = part
    return tuple(moved_by(face, left, top) for face in tracker.detect(picture, least_px=least_px, beside=beside))


def belongs(face: Face, box: Box) -> bool:
    """Whether a face can be the one that a box is about."""
    side = max(box[2] - box[0], box[3] - box[1])
    return _offset(face, box) <= _BOX_NEAR * side and _BOX_SMALLEST * side <= face.extent_px <= _BOX_LARGEST * side


def _offset(face: Face, box: Box) -> float:
    x, y = (box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0
    return math.hypot(face.centre[0] - x, face.centre[1] - y)


def _change_of_shape(last: Face, face: Face) -> float:
    """How far the points that expressions hardly move lie from where a turn of the head takes them, in their spread."""
    before, after = (np.asarray(one.landmarks[list(RIGID)], np.float64) for one in (last, face))
    fitted = fit(before, after).apply(before)
    spread = np.linalg.norm(after - after.mean(0), axis=1).mean()
    return float(np.linalg.norm(fitted - after, axis=1).mean() / max(spread, 1e-6))


def _largest(found: tuple[Face, ...]) -> Face:
    return max(found, key=lambda face: face.extent_px)


def _distance(face: Face, last: Face) -> float:
    """Distance of two faces in sizes of the last one, with the change of size counted in."""
    shift = math.hypot(face.centre[0] - last.centre[0], face.centre[1] - last.centre[1]) / last.extent_px
    return shift + abs(math.log(face.extent_px / last.extent_px))
