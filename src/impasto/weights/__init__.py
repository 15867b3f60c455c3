"""Weight files and other tensor files: read safely, and validated against the expected contents before use."""

from impasto.weights.fields import Fields
from impasto.weights.files import Kind, read_file, read_safetensors, read_state, write_safetensors
from impasto.weights.networks import fill_network, is_published, parse_json, read_network
from impasto.weights.numbers import all_finite, finite
from impasto.weights.training import CHECKPOINT, adam_moments, load_adam_moments, load_generator

__all__ = [
    "CHECKPOINT",
    "Fields",
    "Kind",
    "adam_moments",
    "all_finite",
    "fill_network",
    "finite",
    "is_published",
    "load_adam_moments",
    "load_generator",
    "parse_json",
    "read_file",
    "read_network",
    "read_safetensors",
    "read_state",
    "write_safetensors",
]
