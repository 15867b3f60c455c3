"""Backbones: keys and shapes of published checkpoints, normalization, pooling, padding, invalid files."""

from __future__ import annotations

import hashlib
import http.server
import pickle
import threading

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from impasto.backbones import (
    ENTRIES,
    WeightsEntry,
    activation_entropy,
    backbone_names,
    download,
    load_backbone,
    resolve_layer,
    smooth_activations,
)
from impasto.backbones.chain import POOLINGS, Pooling
from impasto.backbones.resnet import ResNet50
from impasto.backbones.vgg import make_vgg
from impasto.errors import (
    InputError,
    MissingFileError,
    UnknownNameError,
    UsageError,
    WeightsError,
)

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@pytest.fixture(scope="module")
def picture():
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    return F.interpolate(coarse, (72, 96), mode="bilinear").clamp(0, 1)


def saved(network, path):
    state = {k: v.clone() for k, v in network.state_dict().items()}
    torch.save(state, path)
    return path


# --- the one that ships -----------------------------------------------------------------------------------
def test_the_shipped_backbone_sees_at_the_strides_of_vgg(picture):
    network = load_backbone()
    features = network(picture, (*STYLE_LAYERS, "relu4_2"))
    shapes = {k: tuple(v.shape[1:]) for k, v in features.items()}
    assert shapes == {
        "relu1_1": (16, 72, 96), "relu2_1": (32, 36, 48), "relu3_1": (64, 18, 24),
        "relu4_1": (80, 9, 12), "relu5_1": (104, 4, 6), "relu4_2": (80, 9, 12),
    }  # fmt: skip
    assert all((v >= 0).all() and v.std() > 0 for v in features.values())
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (95, 61)])
def test_odd_sizes(size):
    features = load_backbone()(torch.rand(2, 3, *size), ("relu5_1",))
    assert features["relu5_1"].shape == (2, 104, size[0] // 16, size[1] // 16)


def test_a_picture_that_is_too_small_is_refused():
    with pytest.raises(InputError, match="at least 32 px on each side"):
        load_backbone()(torch.rand(1, 3, 31, 80), ("relu1_1",))


def test_checkpointing_changes_memory_and_not_the_gradient(picture):
    network = load_backbone()
    gradients = []
    for checkpointing in (False, True):
        network.checkpointing = checkpointing
        x = picture.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(network(x, ("relu5_1",))["relu5_1"].square().sum(), x)
        gradients.append(gradient)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_shipped_backbone_sees_like_its_teacher(shared_data, picture):
    import json

    from safetensors import safe_open

    import impasto.backbones.vgg19_lite as lite

    teacher = load_backbone("vgg19-16x", weights=shared_data / "teacher" / "vgg19_16x.safetensors")
    path = lite.__file__.replace("vgg19_lite.py", "data/vgg19_lite.safetensors")
    with safe_open(path, "pt") as file:
        channels = json.loads(file.metadata()["channels"])
    seen, wanted = load_backbone()(picture, STYLE_LAYERS), teacher(picture, STYLE_LAYERS)
    for name in STYLE_LAYERS:
        whole = torch.zeros_like(wanted[name])
        whole[:, channels[name]] = seen[name]
        error = (whole - wanted[name]).square().sum() / wanted[name].square().sum()
        assert error < 1e-4, name


# --- the one that measures --------------------------------------------------------------------------------
def test_metric_net_has_five_scales(picture):
    network = load_backbone("metric-net")
    features = network(picture, ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2"))
    shapes = {k: tuple(v.shape[1:]) for k, v in features.items()}
    assert shapes == {
        "relu1_2": (24, 72, 96), "relu2_2": (48, 36, 48), "relu3_2": (80, 18, 24), "relu4_2": (112, 9, 12),
        "relu5_2": (144, 4, 6),
    }  # fmt: skip
    assert all((v >= 0).all() and v.std() > 0 for v in features.values())
    assert not any(p.requires_grad for p in network.parameters())
    assert list(network(picture, ("conv4_2",))) == ["conv4_2"]


def test_metric_net_pads_without_a_frame():
    """A constant image gives constant feature maps, thanks to replication padding."""
    maps = load_backbone("metric-net")(torch.full((1, 3, 64, 80), 0.3), ("relu5_2",))["relu5_2"]
    assert (maps - maps.mean((2, 3), keepdim=True)).abs().max() < 1e-4


def test_metric_net_is_whole_and_small():
    from importlib.resources import files

    size = len((files("impasto.backbones") / "data" / "metric_net.safetensors").read_bytes())
    assert size == ENTRIES["metric-net"].size_bytes
    assert size <= 3 * 2**20


def test_metric_net_says_what_it_cannot_do(tmp_path):
    with pytest.raises(InputError, match="metric-net needs at least 32 px"):
        load_backbone("metric-net")(torch.rand(1, 3, 31, 80), ("relu1_1",))
    with pytest.raises(UsageError, match="average pooling only, got max"):
        load_backbone("metric-net", pooling="max")
    with pytest.raises(MissingFileError, match="does not exist; check the path"):
        load_backbone("metric-net", weights=tmp_path / "none.safetensors")
    save_file({"conv1_1.weight": torch.zeros(16, 3, 3, 3)}, tmp_path / "part.safetensors")
    with pytest.raises(WeightsError, match="does not contain weights of metric-net"):
        load_backbone("metric-net", weights=tmp_path / "part.safetensors")


def test_folding_batch_normalization_changes_nothing(root):
    """The recipe's network in evaluation mode and its export give the same feature maps."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "recipe", root / "recipes" / "train_metric_network.py"
    )
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    learner = recipe.Learner(4)
    views = torch.rand(8, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    learner.features(views)  # updates the running statistics
    learner.eval()
    with torch.no_grad():
        expected = learner.features(views)
    found = recipe.folded(learner.state_dict())(views, tuple(expected))
    for name, maps in expected.items():
        torch.testing.assert_close(found[name], maps, rtol=1e-4, atol=1e-5)


# --- VGG on real filters ----------------------------------------------------------------------------------
def test_vgg19_on_real_filters(shared_data):
    """Compares with a plain computation, and with the results of a wrong channel order or a missing mean."""
    from impasto.media import read_image

    path = shared_data / "teacher" / "vgg19_normalised_to_conv3_1.safetensors"
    network = load_backbone("vgg19-normalized", weights=path, padding="reflect")
    assert network.layer_names[-1] == "relu3_1"
    photo = sorted((shared_data / "photos" / "open").iterdir())[0]
    image = F.interpolate(read_image(photo).to_tensor(), (96, 128), mode="area")
    state = load_file(path)

    def plain(x):
        x = F.conv2d(x, state["0.weight"], state["0.bias"])
        for key, pooled in (("2", 0), ("5", 0), ("9", 1), ("12", 0), ("16", 1)):
            x = F.max_pool2d(x, 2) if pooled else x
            mode = "reflect" if key == "2" else "constant"
            x = F.relu(
                F.conv2d(
                    F.pad(x, (1, 1, 1, 1), mode=mode), state[key + ".weight"], state[key + ".bias"]
                )
            )
        return x

    found, expected = network(image, ["relu3_1"])["relu3_1"], plain(image)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
    # Gatys' scaling makes the mean activation of each channel over many images 1.
    assert 0.4 < found.mean() < 2.5
    wrong = network(image.flip(1), ["relu3_1"])["relu3_1"]
    assert (wrong - expected).square().mean() > 0.01 * expected.square().mean()


# --- published key names ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "first", "last"), [("vgg19", 0, 34), ("vgg16", 0, 28)])
def test_vgg_has_torchvisions_keys_and_shapes(name, first, last):
    state = make_vgg(name).state_dict()
    assert state[f"features.{first}.weight"].shape == (64, 3, 3, 3)
    assert state[f"features.{last}.weight"].shape == (512, 512, 3, 3)
    assert len(state) == 2 * {"vgg19": 16, "vgg16": 13}[name]


def test_resnet_has_torchvisions_keys_and_shapes():
    state = ResNet50().state_dict()
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert state["layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)
    assert state["layer2.0.conv2.weight"].shape == (128, 128, 3, 3)
    weights = [
        k for k in state if k.endswith("weight") and "bn" not in k and "downsample.1" not in k
    ]
    assert len(weights) == 53
    assert "bn1.running_mean" in state


@pytest.mark.parametrize("form", ["conv4_2", "conv42"])
def test_other_key_forms_of_the_quarter_network(tmp_path, picture, form):
    # The quarter-width network stands in for the full one, whose files would be 80 MB.
    network = make_vgg("vgg19-16x")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.1, 0.1)
    places = [n.replace("relu", "") for n in network.layer_names if n.startswith("relu")]
    convolutions = [m for m in network.features if isinstance(m, torch.nn.Conv2d)]
    state = {}
    for place, conv in zip(places, convolutions, strict=True):
        key = "conv" + (place if form == "conv4_2" else place.replace("_", ""))
        state[key + ".weight"], state[key + ".bias"] = (
            conv.weight.data.half(),
            conv.bias.data.half(),
        )
    state["conv11_aux.weight"] = torch.zeros(64, 16, 1, 1)
    save_file(state, tmp_path / "w.safetensors")
    loaded = load_backbone("vgg19-16x", weights=tmp_path / "w.safetensors")
    expected = network.requires_grad_(False)(picture, ["relu2_1"])["relu2_1"]
    torch.testing.assert_close(
        loaded(picture, ["relu2_1"])["relu2_1"], expected, rtol=1e-2, atol=0.1
    )


def test_a_classifier_in_the_file_is_passed_over(tmp_path, picture):
    path = tmp_path / "alexnet.pth"
    from impasto.backbones.alexnet import make_alexnet

    state = make_alexnet().state_dict() | {"classifier.1.weight": torch.zeros(2, 2)}
    torch.save(state, path)
    features = load_backbone("alexnet", weights=path)(picture, ("relu1", "relu5"))
    assert features["relu1"].shape[1] == 64
    assert features["relu5"].shape[1] == 256


def test_a_pass_stops_at_the_deepest_layer_asked_for(picture):
    network = make_vgg("vgg19-16x")
    calls = []
    for step in network.features:
        step.register_forward_hook(lambda module, _i, _o: calls.append(module))
    network(picture, ["relu2_1"])
    assert len(calls) == 7


# --- layers and pooling -----------------------------------------------------------------------------------
@pytest.mark.parametrize("alias", ["relu4_2", "conv4_2", "block4_conv2", "conv42", "relu42"])
def test_aliases_mean_the_activation(alias):
    assert resolve_layer(alias, load_backbone().layer_names) == "relu4_2"


def test_an_unknown_layer_has_a_suggestion():
    with pytest.raises(UnknownNameError, match="Did you mean 'relu4_2'"):
        resolve_layer("rellu4_2", load_backbone().layer_names)


def test_an_alias_is_answered_under_its_own_name(picture):
    assert list(load_backbone()(picture, ["conv1_1"])) == ["conv1_1"]


@pytest.mark.parametrize("name", ["average", "l2"])
def test_rescaled_pooling_keeps_the_size_of_activations(picture, name):
    features = load_backbone()(picture, ["relu1_2"])["relu1_2"] + 0.0
    size = lambda x: x.square().mean().sqrt()  # noqa: E731
    kept = size(Pooling(name)(features)) / size(Pooling("max")(features))
    bare = kept / POOLINGS[name]
    assert 0.5 < kept < 2.2
    assert 0.5 < bare < 2.2 or abs(kept.log()) < abs(bare.log())


def test_l2_pooling_of_ones():
    assert torch.allclose(Pooling("l2")(torch.ones(1, 1, 2, 2)), torch.tensor(0.78 * 2.0))


# --- ResNet's peaks ---------------------------------------------------------------------------------------
def test_smoothing_flattens_peaks_and_keeps_the_sum():
    peaked = torch.full((1, 8, 6, 6), 0.01)
    peaked[0, 3, 2, 2] = 50.0
    smooth = smooth_activations(peaked)
    torch.testing.assert_close(smooth.sum(), peaked.sum())
    assert activation_entropy(peaked) < 0.2
    assert activation_entropy(smooth) > 0.5


def test_entropy_of_flat_and_single():
    assert activation_entropy(torch.ones(1, 2, 3, 3)).item() == pytest.approx(1.0)
    one = torch.zeros(1, 2, 3, 3)
    one[0, 0, 0, 0] = 1
    assert activation_entropy(one).item() == pytest.approx(0.0, abs=1e-6)


def test_resnet_maps(picture):
    network = ResNet50().requires_grad_(False).eval()
    found = network(picture, ["stem", "layer1", "layer2_1"])
    assert found["layer1"].shape == (1, 256, 18, 24)
    assert found["layer2_1"].shape == (1, 512, 9, 12)


# --- bad files --------------------------------------------------------------------------------------------
def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match="check the path"):
        load_backbone("vgg16", weights=tmp_path / "no.pth")


@pytest.mark.parametrize("content", [b"", b"rubbish", pickle.dumps({"a": print})])
def test_a_file_that_is_damaged_or_runs_code(tmp_path, content):
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="read safely"):
        load_backbone("vgg16", weights=path)


def test_a_file_of_another_network_is_named(tmp_path):
    path = saved(make_vgg("vgg19-16x"), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="probably of vgg19-16x"):
        load_backbone("alexnet", weights=path)
    with pytest.raises(WeightsError, match="does not contain weights of resnet50"):
        load_backbone("resnet50", weights=path)


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg19'"):
        load_backbone("vgg91")
    with pytest.raises(UnknownNameError, match="Did you mean 'average'"):
        load_backbone(pooling="averag")


def test_weights_that_are_not_here_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="--weights FILE, or allow impasto to download 575 MB"):
        load_backbone("vgg19")
    with pytest.raises(WeightsError, match="pass a local file with --weights"):
        load_backbone("vgg19-caffe")


def test_every_entry_has_a_license_and_a_size():
    assert backbone_names()[0] == "vgg19-lite"
    assert all(e.license and e.size_bytes > 0 and (not e.url or e.sha256) for e in ENTRIES.values())


# --- fetching ---------------------------------------------------------------------------------------------
class Server:
    """Serves one file locally with range requests; it can drop the connection."""

    def __init__(self, body, break_after=None):
        self.ranges = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                wanted = self.headers.get("Range")
                outer.ranges.append(wanted)
                start = int(wanted[6:-1]) if wanted else 0
                if self.path != "/w.pth":
                    self.send_error(404)
                    return
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                self.wfile.write(body[start : break_after if not wanted else None])

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def entry(self, body, path="w.pth", sha256=None):
        digest = sha256 or hashlib.sha256(body).hexdigest()
        url = f"http://127.0.0.1:{self.server.server_port}/{path}"
        return WeightsEntry(
            name="x", url=url, sha256=digest[:8], license="none", size_bytes=len(body), note=""
        )


BODY = bytes(range(256)) * 4096


def test_a_download_is_verified_and_tells_its_progress(tmp_path):
    told = []
    with Server(BODY) as server:
        path = download(server.entry(BODY), tmp_path / "w.pth", progress=lambda *a: told.append(a))
    assert path.read_bytes() == BODY
    assert told[-1] == (len(BODY), len(BODY))
    assert not (tmp_path / "w.pth.part").exists()


def test_a_download_that_broke_off_is_resumed(tmp_path):
    with Server(BODY, break_after=1000) as server:
        with pytest.raises(WeightsError, match="try again to resume"):
            download(server.entry(BODY), tmp_path / "w.pth")
        assert (tmp_path / "w.pth.part").stat().st_size == 1000
        assert download(server.entry(BODY), tmp_path / "w.pth").read_bytes() == BODY
        assert server.ranges == [None, "bytes=1000-"]


def test_a_download_of_something_else_is_deleted(tmp_path):
    with Server(BODY) as server, pytest.raises(WeightsError, match="it was deleted"):
        download(server.entry(BODY, sha256="0" * 64), tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_not_there(tmp_path):
    with Server(BODY) as server, pytest.raises(WeightsError, match="HTTP status 404"):
        download(server.entry(BODY, path="other.pth"), tmp_path / "w.pth")
