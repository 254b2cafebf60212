"""The networks that split a source into layers, opened when they are first needed."""

from functools import cached_property

from avatarkit.background.choice import open_inpainter, open_matting
from avatarkit.background.inpaint import Inpainter
from avatarkit.background.matting import Matting
from avatarkit.weights.choice import AUTO


class LayerTools:
    """Matting and inpainting by name; "auto" takes the best whose weights are here.

    One asked for by its name is opened at once, so that missing weights are told before any work is done.
    `advice` says, for those opened so far, what would be better and by which command.

    Raises:
        UsageError: unknown name. DependencyError: the one named cannot run here.
    """

    def __init__(self, matting: str = AUTO, inpaint: str = AUTO) -> None:
        self._matting, self._inpaint = matting, inpaint
        self.advice: list[str] = []
        named = (matting, lambda: self.matting), (inpaint, lambda: self.inpainter)
        for name, open_now in named:
            if name != AUTO:
                open_now()

    @cached_property
    def matting(self) -> Matting:
        """Splits the person from the rest."""
        choice = open_matting(self._matting)
        self.advice += [choice.advice] if choice.advice else []
        return choice.model

    @cached_property
    def inpainter(self) -> Inpainter:
        """Paints what the person hides."""
        choice = open_inpainter(self._inpaint)
        self.advice += [choice.advice] if choice.advice else []
        return choice.model
