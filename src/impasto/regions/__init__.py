"""Parts of a picture that take their style from matching parts of another."""

from impasto.regions.masks import PALETTE, check_shape, match_regions, read_masks

__all__ = ["PALETTE", "check_shape", "match_regions", "read_masks"]
