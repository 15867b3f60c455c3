"""Finds regions from mask files, features or a segmentation network, for images and for video frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.config import RegionOptions
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
    """Content and style masks by name, and the clusters that segment the following frames."""

    content: Mapping[str, Tensor]
    style: Mapping[str, Tensor]
    grouping: Grouping | None = None


class RegionFinder:
    """Finds regions as specified by the options and matches them.

    Args:
        options: Which regions to use, and how to process them.
        styles: ``(1, 3, h, w)`` each.
        backbone: Feature extractor.

    Raises:
        UsageError: The styles and regions are incompatible.
        InputError: A mask or network cannot be read.

    Attributes:
        wish: How to process regions.
        from_files: Whether the content's masks are given as files.
    """

    def __init__(
        self, options: RegionOptions, styles: Sequence[Tensor], backbone: Backbone
    ) -> None:
        self._options, self._styles, self._backbone = options, styles, backbone
        assigned = options.assigned
        if len(styles) > 1 and not assigned:
            raise UsageError(
                "with several styles, regions must be assigned; for example, --assign white=1,black=2."
            )
        for name, number in assigned.items():
            if number >= len(styles):
                raise UsageError(
                    f"--assign {name}={number + 1} exceeds the number of styles, {len(styles)}; use a lower number."
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
        """Finds the regions of an image, or of the first frame of a shot.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.
            masks: The content's masks, if already known.
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
        """Learns clusters from a frame and its masks, in order to segment other frames."""
        return group_by_masks(image, masks, self._backbone)

    def look(self, image: Tensor, found: Found) -> Mapping[str, Tensor]:
        """Segments a later frame on its own."""
        if self._segmenter is not None:
            seen = self._segmenter.masks(image)
            missing = torch.zeros(1, 1, *image.shape[-2:])
            return {name: seen.get(name, missing) for name in found.content}
        if found.grouping is None:
            return found.content
        return found.grouping.masks(image, self._backbone)

    def match(self, found: Found, content: Mapping[str, Tensor], version: int = 0) -> Matched:
        """Matches the regions of an image or frame with those of the style."""
        return match_regions(content, found.style, self.wish, version)


def _extent(image: Tensor) -> tuple[int, int]:
    return image.shape[-1], image.shape[-2]
