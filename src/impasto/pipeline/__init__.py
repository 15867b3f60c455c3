"""Where media, motion, regions and a stylizer are joined."""

from impasto.pipeline.image import Job, backbone_for, prepare, stylize, stylize_image

__all__ = ["Job", "backbone_for", "prepare", "stylize", "stylize_image"]
