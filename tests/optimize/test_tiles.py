"""Tiles: the same value and gradient as the whole image, for every term and every backbone."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers import TinyNetwork, painting, photograph

from impasto.backbones import load_backbone, receptive_fields
from impasto.backbones.alexnet import make_alexnet
from impasto.backbones.resnet import ResNet50
from impasto.backbones.vgg import make_vgg
from impasto.config import options
from impasto.errors import UsageError
from impasto.losses import change_loss, temporal_loss
from impasto.optimize import Plan, build_objective
from impasto.optimize.objective import Objective, change_term
from impasto.optimize.terms import Term
from impasto.optimize.tiles import Parts, Tiling
from impasto.types import Region

HEIGHT, WIDTH = 117, 186  # multiples of neither the tiles nor the strides
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
EXACT = {torch.float64: 1e-5, torch.float32: 1e-3}


def noise(height=HEIGHT, width=WIDTH, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    fine = torch.rand(1, 3, height, width, generator=generator)
    return (0.3 * fine + 0.7 * painting(height, width, seed=seed + 1)).clamp(0.05, 0.95).to(dtype)


def random_vgg(name, pooling="max"):
    torch.manual_seed(3)
    network = make_vgg(name, pooling=pooling)
    return slim(network)


def slim(network):
    """Keeps only the first channels of each convolution, so that tests are fast."""
    before = 3
    for step in network.features:
        if isinstance(step, torch.nn.Conv2d):
            step.in_channels, step.out_channels = before, 6
            step.weight = torch.nn.Parameter(step.weight[:6, :before].clone() * 4)
            step.bias = torch.nn.Parameter(step.bias[:6].clone())
            before = 6
    return network.requires_grad_(False).eval()


def random_alexnet():
    torch.manual_seed(3)
    return slim(make_alexnet())


NETWORKS = {
    "vgg19-lite": load_backbone,
    "vgg19-lite, average": lambda: load_backbone(pooling="average"),
    "metric-net": lambda: load_backbone("metric-net"),
    "vgg19": lambda: random_vgg("vgg19"),
    "vgg19, l2": lambda: random_vgg("vgg19", "l2"),
    "vgg16": lambda: random_vgg("vgg16", "average"),
    "vgg19-16x": lambda: random_vgg("vgg19-16x"),
    "alexnet": random_alexnet,
}


def regions():
    """Three soft regions; the last covers less than a position of the deepest layer."""
    across = torch.linspace(0, 1, WIDTH).expand(1, 1, HEIGHT, WIDTH)
    speck = torch.zeros(1, 1, HEIGHT, WIDTH)
    speck[..., 40:46, 50:57] = 1
    top = torch.zeros(1, 1, 70, 90)
    top[..., :30, :] = 1
    return [
        Region(name="left", content=across, style=top),
        Region(name="right", content=1 - across, style=1 - torch.zeros(1, 1, 83, 61), number=1),
        Region(name="speck", content=speck, style=1 - top),
    ]


def evaluated(settings, tile_px, dtype=torch.float64, network=None, regions=(), place=(0, 1)):
    network = copy.deepcopy(network or load_backbone()).to(dtype)
    styles = [noise(70, 90, 5, dtype), noise(83, 61, 7, dtype)]
    chosen = {
        "content_layers": ("relu3_1", "relu4_2"),
        "coherence_weight": (0.0,),
        "grain_weight": 0.0,
    }
    objective = build_objective(
        photograph(HEIGHT, WIDTH).to(dtype), styles, network, options(**{**chosen, **settings}),
        plan=Plan(tile_px=tile_px), regions=regions, place=place,
    )  # fmt: skip
    return objective.evaluate(noise(dtype=dtype), 3)


def assert_equal(tiled, whole, dtype):
    rtol = EXACT[dtype]
    assert tiled.terms == pytest.approx(whole.terms, rel=rtol)
    assert tiled.loss == pytest.approx(whole.loss, rel=rtol)
    error = (tiled.gradient - whole.gradient).norm() / whole.gradient.norm()
    assert error < rtol
    worst = (tiled.gradient - whole.gradient).abs().max() / whole.gradient.abs().max()
    assert worst < rtol


TERMS = {
    "default": {},
    "gram": {"style_loss": "gram"},
    "w2": {"style_loss": "w2"},
    "mixed": {"style_loss": "mixed"},
    "neighbor": {"style_loss": "neighbor"},
    "as published": {"style_loss": "gram", "as_published": True, "content_loss": "half-sum"},
    "content l1": {"content_loss": "l1", "content_layers": ("relu1_2", "conv4_2")},
    "content huber": {"content_loss": "huber"},
    "tv l1": {"tv_weight": 3.0, "tv_kind": "l1", "style_weight": 0.0},
    "tv l2": {"tv_weight": 3.0, "tv_kind": "l2", "style_weight": 0.0},
    "tv nine": {"tv_weight": 3.0, "tv_kind": "nine-point", "style_weight": 0.0},
    "laplacian": {"laplacian_weight": 5.0, "style_weight": 0.0},
    "grain": {"grain_weight": 3.0},
    "coherence": {"coherence_weight": (200.0,)},
    "photoreal": {"photoreal_weight": 1e3},
}


@pytest.mark.parametrize("tile_px", [48, 128])
@pytest.mark.parametrize("how", TERMS)
def test_every_term_has_the_same_gradient(how, tile_px):
    settings = TERMS[how]
    assert_equal(evaluated(settings, tile_px), evaluated(settings, 0), torch.float64)


@pytest.mark.parametrize("how", ["default", "neighbor", "grain", "coherence", "photoreal", "mixed"])
def test_every_term_has_the_same_gradient_in_float32(how):
    settings = TERMS[how]
    tiled, whole = (evaluated(settings, t, torch.float32) for t in (64, 0))
    assert_equal(tiled, whole, torch.float32)


@pytest.mark.parametrize("style_loss", ["gram", "w2", "mixed", "neighbor"])
def test_regions_with_two_styles(style_loss):
    settings = {"style_loss": style_loss, "grain_weight": 3.0}
    tiled, whole = (evaluated(settings, t, regions=regions()) for t in (64, 0))
    assert_equal(tiled, whole, torch.float64)


def test_the_finest_of_several_scales_has_a_smaller_halo():
    tiled, whole = (evaluated({"style_loss": "mixed"}, t, place=(2, 3)) for t in (64, 0))
    assert_equal(tiled, whole, torch.float64)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_backbone_has_the_same_gradient(name):
    network = NETWORKS[name]()
    alex = "alexnet" in name
    layers = ("relu1", "relu2", "relu3", "relu5") if alex else LAYERS
    settings = {
        "style_layers": layers,
        "content_layers": ("pool2", "relu4") if alex else ("relu3_1", "relu4_2"),
        "style_falloff": 1.0,
    }
    for tile_px in (48, 96):
        tiled, whole = (evaluated(settings, t, network=network) for t in (tile_px, 0))
        assert_equal(tiled, whole, torch.float64)


def test_a_halo_that_is_one_pixel_too_narrow_changes_the_gradient(monkeypatch):
    """The derived halo is as narrow as it can be: with max pooling and 3x3 kernels every pixel of it counts."""
    network = random_vgg("vgg16", "average")
    settings = {"style_layers": ("relu3_1",), "content_weight": 0.0, "content_layers": ("relu3_1",)}
    whole = evaluated(settings, 0, network=network)
    halo = Tiling.halo.fget
    before, after = halo(Tiling.of(network, ("relu3_1",), 48))
    assert (before, after) == (
        10,
        10,
    )  # two convolutions each at strides 1, 2 and, up to relu3_1, one at 4
    monkeypatch.setattr(Tiling, "halo", property(lambda t: (before, halo(t)[1] - 1)))
    narrow = evaluated(settings, 48, network=network)
    assert (narrow.gradient - whole.gradient).abs().max() > 1e-9 * whole.gradient.abs().max()


def test_receptive_fields_of_a_known_network():
    """VGG-16 (Simonyan and Zisserman 2014): relu3_3 sees 40 px, relu4_3 92 px and relu5_3 196 px."""
    fields = receptive_fields(make_vgg("vgg16"), ("relu1_1", "conv3_3", "relu4_3", "relu5_3"))
    assert {n: f.before + f.after + 1 for n, f in fields.items()} == {
        "relu1_1": 3, "conv3_3": 40, "relu4_3": 92, "relu5_3": 196,
    }  # fmt: skip
    assert [field.stride for field in fields.values()] == [1, 4, 8, 16]
    alex = receptive_fields(make_alexnet(), ("relu1", "pool1", "relu5"))
    assert [f.before + f.after + 1 for f in alex.values()] == [11, 19, 163]
    assert [f.stride for f in alex.values()] == [4, 8, 16]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(64, 64), (117, 186), (95, 33), (127, 250)])
def test_receptive_fields_count_the_positions(name, size):
    network = NETWORKS[name]()
    layers = [n for n in network.layer_names if not n.endswith("_4")]
    fields = receptive_fields(network, layers)
    maps = network(torch.zeros(1, 3, *size), layers)
    for layer in layers:
        found = tuple(fields[layer].positions(side) for side in size)
        assert found == tuple(maps[layer].shape[-2:]), layer


@pytest.mark.parametrize("length_px", [33, 48, 100, 117, 128, 129, 1000])
@pytest.mark.parametrize("tile_px", [48, 128, 512])
def test_tiles_own_every_pixel_and_every_position_once(length_px, tile_px):
    tiling = Tiling.of(load_backbone(), LAYERS, tile_px)
    spans = tiling.spans(length_px)
    assert [s.first for s in spans] == [0, *(s.last for s in spans[:-1])]
    assert spans[-1].last == length_px
    for field in tiling.fields.values():
        owned = [span.owned(field) for span in spans]
        assert [first for first, _end in owned] == [0, *(end for _first, end in owned[:-1])]
        assert owned[-1][1] == field.positions(length_px)


def test_terms_of_films():
    torch.manual_seed(0)
    network = load_backbone().double()
    previous, image, trust = noise(seed=3), noise(), torch.rand(1, 1, HEIGHT, WIDTH).double()
    settings = options(content_layers=("relu3_1",), style_layers=("relu1_1", "relu4_1"))
    layers = ("relu3_1", "relu1_1", "relu4_1")
    found = []
    for tiling in (None, Tiling.of(network, layers, 64)):
        pull = Term(weight=2.0, measure=lambda _f, x, _s: temporal_loss(x, previous, trust))
        change = change_term(Parts(network, previous, layers, tiling), settings, 4.0)
        objective = Objective(network, {"flow": pull, "change": change}, tiling=tiling)
        found.append(objective.evaluate(image))
    assert_equal(found[1], found[0], torch.float64)
    wanted = change_loss(network(image, layers), network(previous, layers), layers[:1], layers[1:])
    assert found[0].terms["change"] == pytest.approx(4 * float(wanted))


# --- what cannot be evaluated in tiles ----------------------------------------------------------------------
def test_sliced_is_refused():
    with pytest.raises(
        UsageError, match="sliced sorts the features of the whole image; use another"
    ):
        evaluated({"style_loss": "sliced"}, 48)


@pytest.mark.parametrize("network", [ResNet50(), TinyNetwork()])
def test_backbones_that_look_at_the_whole_image_are_refused(network):
    settings = options(
        content_layers=(network.layer_names[0],), style_layers=(network.layer_names[0],)
    )
    with pytest.raises(UsageError, match="over the whole image; use another --backbone"):
        build_objective(photograph(), [painting()], network, settings, plan=Plan(tile_px=48))


def test_progress_reaches_one():
    objective = build_objective(
        noise(dtype=torch.float32), [painting()], load_backbone(), options(), plan=Plan(tile_px=64)
    )
    seen = []
    objective.on_progress = seen.append
    objective.evaluate(noise(dtype=torch.float32))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) == 12
