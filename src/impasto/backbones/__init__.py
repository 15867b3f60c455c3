"""Backbones (feature extractors) by name, with their layers and weights."""

from impasto.backbones.fetch import cache_folder, download, find_weights
from impasto.backbones.geometry import Field, Window, Windowed, receptive_fields
from impasto.backbones.layers import resolve_layer, resolve_layers
from impasto.backbones.listing import describe
from impasto.backbones.load import load_backbone, read_state
from impasto.backbones.metric_net import MetricNet, load_metric_net
from impasto.backbones.registry import ENTRIES, WeightsEntry, backbone_names, entry_for
from impasto.backbones.resnet import activation_entropy, smooth_activations
from impasto.backbones.vgg19_lite import Vgg19Lite, load_vgg19_lite

__all__ = [
    "ENTRIES",
    "Field",
    "MetricNet",
    "Vgg19Lite",
    "WeightsEntry",
    "Window",
    "Windowed",
    "activation_entropy",
    "backbone_names",
    "cache_folder",
    "describe",
    "download",
    "entry_for",
    "find_weights",
    "load_backbone",
    "load_metric_net",
    "load_vgg19_lite",
    "read_state",
    "receptive_fields",
    "resolve_layer",
    "resolve_layers",
    "smooth_activations",
]
