"""Image input and output, color, and resampling."""

from impasto.media.affine import apply_affine, fit_affine, guided_filter, transfer_affinely
from impasto.media.color import (
    color_map,
    color_moments,
    keep_luminance_only,
    luminance,
    match_histogram,
    to_lab,
    transfer_linear,
)
from impasto.media.drawing import draw_curves, draw_rows
from impasto.media.find import FILM_SUFFIXES, find_images, is_film, is_image
from impasto.media.lock import OutputLock
from impasto.media.picture import (
    Picture,
    check_paintable,
    pixels_to_tensor,
    tensor_to_pixels,
)
from impasto.media.places import (
    check_not_input,
    check_outputs,
    check_replaceable,
    files_of,
    hash_files,
    is_torch_checkpoint,
)
from impasto.media.read import read_image
from impasto.media.replace import is_partial, replacing, sibling
from impasto.media.resize import (
    box_mean,
    over_windows,
    pad_to,
    resize,
    resize_to_fit,
    shifted,
    size_to_fit,
)
from impasto.media.write import (
    check_output,
    check_place,
    check_space,
    make_folder,
    read_metadata,
    write_image,
)

__all__ = [
    "FILM_SUFFIXES",
    "OutputLock",
    "Picture",
    "apply_affine",
    "box_mean",
    "check_not_input",
    "check_output",
    "check_outputs",
    "check_paintable",
    "check_place",
    "check_replaceable",
    "check_space",
    "color_map",
    "color_moments",
    "draw_curves",
    "draw_rows",
    "files_of",
    "find_images",
    "fit_affine",
    "guided_filter",
    "hash_files",
    "is_film",
    "is_image",
    "is_partial",
    "is_torch_checkpoint",
    "keep_luminance_only",
    "luminance",
    "make_folder",
    "match_histogram",
    "over_windows",
    "pad_to",
    "pixels_to_tensor",
    "read_image",
    "read_metadata",
    "replacing",
    "resize",
    "resize_to_fit",
    "shifted",
    "sibling",
    "size_to_fit",
    "tensor_to_pixels",
    "to_lab",
    "transfer_affinely",
    "transfer_linear",
    "write_image",
]
