"""Where regions come from: files, features, or a network; for a picture, and frame by frame for a film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.config import PaintOptions
from impasto.errors import UsageError
from impasto.regions import (
    Grouping,
    Matched,
    Segmenter,
    Wish,
    check_shape,
    group_by_masks,
    group_jointly,
    match_regions,
    read_masks,
)
from impasto.types import Backbone

__all__ = ["Found", "RegionFinder"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Masks of a content and of its style by name, and what tells those of the frames that follow."""

    content: Mapping[str, Tensor]
    style: Mapping[str, Tensor]
    grouping: Grouping | None = None


class RegionFinder:
    """Finds regions as the options say, and pairs them.

    Args:
        options: Which, and what becomes of them.
        styles: ``(1, 3, h, w)`` each.
        backbone: The network that sees.

    Raises:
        UsageError: Styles and regions do not go together.
        InputError: A mask or a network cannot be read.

    Attributes:
        wish: What is to become of regions.
        from_files: Whether the content's masks are given.
    """

    def __init__(self, options: PaintOptions, styles: Sequence[Tensor], backbone: Backbone) -> None:
        self._options, self._styles, self._backbone = options, styles, backbone
        assigned = options.assigned
        if len(styles) > 1 and not assigned:
            raise UsageError(
                "regions of several styles must be assigned; give for example --assign white=1,black=2."
            )
        for name, number in assigned.items():
            if number >= len(styles):
                raise UsageError(
                    f"--assign {name}={number + 1} is beyond the {len(styles)} styles given; give a lower number."
                )
        self.wish = Wish(
            feather=options.feather,
            assign=assigned,
            only=options.only,
            keep=options.background == "keep",
        )
        self.from_files = options.content_regions is not None
        self._style_masks: Mapping[str, Tensor] = {}
        self._segmenter: Segmenter | None = None
        if options.style_regions is not None:
            self._style_masks = read_masks(options.style_regions)
            check_shape(self._style_masks, options.style_regions, *_extent(styles[0]))
        elif options.segmenter is not None and options.regions == "semantic":
            self._segmenter = Segmenter(options.segmenter)
            if not assigned:
                self._style_masks = self._segmenter.masks(styles[0])

    def find(self, image: Tensor, masks: Mapping[str, Tensor] | None = None) -> Found:
        """Tells the regions of a picture, or of the first frame of a shot.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.
            masks: The content's, where they are known already.
        """
        options, path = self._options, self._options.content_regions
        if masks is None and path is not None:
            masks = read_masks(path)
            check_shape(masks, path, *_extent(image))
        if masks is not None:
            return Found(content=masks, style=self._style_masks)
        if self._segmenter is not None:
            return Found(content=self._segmenter.masks(image), style=self._style_masks)
        grouping = group_jointly(image, self._styles[0], self._backbone, options.region_count)
        return Found(
            content=grouping.masks(image, self._backbone),
            style={}
            if options.assigned
            else grouping.masks(self._styles[0], self._backbone, style=True),
            grouping=grouping,
        )

    def learn(self, image: Tensor, masks: Mapping[str, Tensor]) -> Grouping:
        """Learns from a frame and its masks what tells those of other frames."""
        return group_by_masks(image, masks, self._backbone)

    def look(self, image: Tensor, found: Found) -> Mapping[str, Tensor]:
        """Tells the regions of a later frame by itself."""
        if self._segmenter is not None:
            seen = self._segmenter.masks(image)
            missing = torch.zeros(1, 1, *image.shape[-2:])
            return {name: seen.get(name, missing) for name in found.content}
        if found.grouping is None:
            return found.content
        return found.grouping.masks(image, self._backbone)

    def match(self, found: Found, content: Mapping[str, Tensor], version: int = 0) -> Matched:
        """Pairs the regions of a picture or frame with those of the style."""
        return match_regions(content, found.style, self.wish, version)


def _extent(image: Tensor) -> tuple[int, int]:
    return image.shape[-1], image.shape[-2]
