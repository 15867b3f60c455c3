"""Export of translators to ONNX."""

from __future__ import annotations

from torch import Tensor, nn

from impasto.runtimes import graph_of_network
from impasto.translate.file import Translator

__all__ = ["WholeTranslator", "graph_of_translator"]


class WholeTranslator(nn.Module):
    """One direction of a translator as a module, ``(1, 3, H, W)`` in ``[0, 1]`` to the same.

    Args:
        translator: A translator from `load_translator`.
        direction: ``ab`` or ``ba``; published checkpoints have a single direction, to which both names refer.

    Raises:
        WeightsError: There is no such direction.
    """

    def __init__(self, translator: Translator, direction: str = "ab") -> None:
        super().__init__()
        self.network = translator.generator(direction)

    def forward(self, image: Tensor) -> Tensor:
        """Translates an image ``(1, 3, H, W)`` in ``[0, 1]``."""
        return ((self.network(2 * image - 1) + 1) / 2).clamp(0, 1)


def graph_of_translator(translator: Translator, direction: str = "ab") -> bytes:
    """Exports one direction as an ONNX model from ``image`` to ``pastiche``.

    The sides must be multiples of the network's ``multiple``.

    Raises:
        UsageError: The extra ``fast`` is not installed.
        WeightsError: There is no such direction.
    """
    whole = WholeTranslator(translator, direction)
    marks = {"direction": direction, "mirrored": True, "about": dict(translator.about)}
    return graph_of_network(whole, marks, whole.network.shape.multiple)
