"""Region-guided transfer: regions of the content take their style from matching regions of the style image."""

from impasto.regions.auto import Grouping, group_by_masks, group_jointly
from impasto.regions.cut import cut_by_box, cut_by_scribble
from impasto.regions.masks import (
    PALETTE,
    Matched,
    Wish,
    check_shape,
    masks_of_pixels,
    match_regions,
    read_masks,
    show_masks,
    write_masks,
)
from impasto.regions.semantic import KINDS, Segmenter, kind_of

__all__ = [
    "KINDS",
    "PALETTE",
    "Grouping",
    "Matched",
    "Segmenter",
    "Wish",
    "check_shape",
    "cut_by_box",
    "cut_by_scribble",
    "group_by_masks",
    "group_jointly",
    "kind_of",
    "masks_of_pixels",
    "match_regions",
    "read_masks",
    "show_masks",
    "write_masks",
]
