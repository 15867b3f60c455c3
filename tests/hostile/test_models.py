"""Untrusted model and checkpoint files: a one-sentence error, no code execution, bounded memory, no corrupt images."""

from __future__ import annotations

import functools
import io
import itertools
import json
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import painting, photograph
from hostile.mutate import mutated
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from impasto.backbones import load_backbone
from impasto.config import options, train_options, translate_options
from impasto.errors import (
    CheckpointError,
    DivergedError,
    ImpastoError,
    InputError,
    OutputError,
    UsageError,
    WeightsError,
)
from impasto.looks import (
    AnyStylePainter,
    Johnson,
    Look,
    LookPainter,
    Painter,
    PainterShape,
    load_look,
    read_graph,
    save_look,
)
from impasto.looks.data import TrainingData
from impasto.looks.train import Training
from impasto.media import Picture, write_image
from impasto.motion import read_flow, write_flow
from impasto.motion.raft import RAFT, load_raft
from impasto.optimize import (
    Optimization,
    check_checkpoint_place,
    load_checkpoint,
    save_checkpoint,
)
from impasto.regions import Segmenter
from impasto.translate import (
    GeneratorShape,
    Translator,
    TranslatorPainter,
    load_translator,
    make_generator,
    save_translator,
)
from impasto.translate.domains import Domain
from impasto.translate.train import TranslatorTraining
from impasto.weights import CHECKPOINT, Fields, Kind, read_safetensors, read_state

KIND = Kind("a test", "give another")
TINY = GeneratorShape("resnet", 4, 1)


def one_sentence(error: BaseException) -> bool:
    text = str(error)
    return "\n" not in text and text.endswith(".") and len(text) < 600


def own_look() -> Look:
    torch.manual_seed(0)
    painter = Painter(PainterShape(width=8))
    covariance = 0.05 * torch.eye(3)[None]
    colors = torch.cat([torch.full((1, 3, 1), 0.5), covariance], dim=2)
    return Look(painter, torch.zeros(1, painter.shape.codes), colors)


def own_translator() -> Translator:
    torch.manual_seed(0)
    return Translator({"ab": make_generator(TINY), "ba": make_generator(TINY)})


def rewritten(path: Path, key: str, change) -> Path:
    """Rewrites a file with a modified header or modified tensors."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[key])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header = change(header, tensors) or header
    save_file(tensors, path, {key: json.dumps(header)})
    return path


# --- checkpoints ------------------------------------------------------------------------------------------
def optimization(**extra) -> Optimization:
    chosen = {"size": 48, "steps": (3, 2), "coarsest": 32, "margin": 0, "device": "cpu", **extra}
    backbone = load_backbone()
    return Optimization(photograph(48, 48), [painting(48, 48)], backbone, options(**chosen))


@functools.cache
def state_of(solver: str):
    begun = optimization(solver=solver)
    for _ in itertools.islice(begun, 4):
        pass
    return begun.state_dict()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "run"
    save_checkpoint(path, state_of("lbfgs"), "mark")
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.6, 0.999])
def test_a_flipped_bit_in_a_checkpoint_is_found(tmp_path, checkpoint, share):
    data = bytearray(checkpoint)
    data[int(share * (len(data) - 1))] ^= 4
    (tmp_path / "run").write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "run", "mark")
    assert one_sentence(caught.value)


def test_a_checkpoint_keeps_values_layouts_and_shared_tensors(tmp_path):
    image = torch.rand(1, 3, 4, 6).contiguous(memory_format=torch.channels_last)
    state = {"image": image, "best": image, "list": [1.5, float("inf"), None, image[..., :2]]}
    save_checkpoint(tmp_path / "run", state, "mark")
    found = load_checkpoint(tmp_path / "run", "mark")
    assert found["image"] is not image
    assert torch.equal(found["image"], image)
    assert found["image"].stride() == image.stride()
    assert found["list"][:3] == [1.5, float("inf"), None]
    assert torch.equal(found["list"][3], image[..., :2])


@pytest.mark.parametrize("solver", ["lbfgs", "adam", "sgd"])
def test_every_field_of_a_run_is_checked(solver):
    whole = state_of(solver)
    run = optimization(solver=solver)
    run.load_state_dict(whole)
    wrong = ("text", -1, float("nan"), [torch.ones(2)], torch.full((1, 3, 48, 48), torch.nan))
    states = [{k: v for k, v in whole.items() if k != gone} for gone in whole]
    states += [{**whole, name: bad} for name in whole for bad in wrong]
    for name in whole["solver"]:
        less = {k: v for k, v in whole["solver"].items() if k != name}
        states += [{**whole, "solver": less}]
        states += [{**whole, "solver": {**whole["solver"], name: bad}} for bad in wrong]
    for state in states:
        with pytest.raises(CheckpointError) as caught:
            run.load_state_dict(state)
        assert one_sentence(caught.value)


def test_a_checkpoint_of_another_size_is_refused():
    with pytest.raises(
        CheckpointError, match=r"field image is .* not a finite float32 tensor of shape"
    ):
        optimization(size=40).load_state_dict(state_of("lbfgs"))


def test_a_checkpoint_of_the_last_version_is_named(tmp_path):
    state = {"format": 1, "fingerprint": "mark", "state": {"image": torch.zeros(3)}}
    torch.save(state, tmp_path / "old")
    with (tmp_path / "old2").open("wb") as stream:
        torch.save(state, stream)
    with pytest.raises(CheckpointError, match="saved by an earlier version"):
        load_checkpoint(tmp_path / "old2", "mark")
    check_checkpoint_place(tmp_path / "old2")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"words", b"PK\x03\x04"])
def test_a_file_that_is_no_checkpoint_is_never_replaced(tmp_path, content):
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    for replaces in (check_checkpoint_place, lambda p: save_checkpoint(p, {"step": 1}, "mark")):
        with pytest.raises(OutputError, match="not an impasto checkpoint, so it is not replaced"):
            replaces(path)
    assert path.read_bytes() == content
    check_checkpoint_place(tmp_path / "new")
    save_checkpoint(tmp_path / "new", {"step": 1}, "mark")
    save_checkpoint(tmp_path / "new", {"step": 2}, "mark")
    assert load_checkpoint(tmp_path / "new", "mark") == {"step": 2}


def test_a_checkpoint_that_cannot_be_written_is_an_output_error(tmp_path):
    with pytest.raises(OutputError):
        save_checkpoint(tmp_path / "none" / "run", {"step": torch.ones(1)}, "mark")


def test_not_a_number_does_not_pass_for_a_field():
    saved = Fields({"a": torch.tensor([1.0, torch.nan]), "b": 10**400, "c": True}, "f", CHECKPOINT)
    for read in (lambda: saved.tensor("a"), lambda: saved.number("b"), lambda: saved.number("c")):
        with pytest.raises(CheckpointError) as caught:
            read()
        assert one_sentence(caught.value)


def look_training():
    photos = [(255 * photograph(48, 48)[0]).to(torch.uint8)]
    quick = {"batch": 1, "crop": 32, "style_size": 48, "width": 8, "steps": 3, "flow_weight": 0.0}
    return Training([painting(48, 48)], TrainingData(photos, photos, []), train_options(**quick))


def translator_training():
    domains = [
        Domain(name, [torch.full((3, 40, 40), 60 * n, dtype=torch.uint8)], [name], [], frozenset([n]))
        for n, name in enumerate("ab")
    ]  # fmt: skip
    quick = {"steps": 3, "decay_steps": 0, "crop": 32, "size": 40, "channels": 4, "blocks": 1,
             "discriminator_channels": 4, "discriminator_layers": 1, "device": "cpu"}  # fmt: skip
    return TranslatorTraining(domains[0], domains[1], translate_options(**quick))


@pytest.mark.parametrize("make", [look_training, translator_training])
def test_a_training_goes_on_from_its_file_and_checks_every_field(tmp_path, make):
    whole = make()
    list(whole)
    half = make()
    next(iter(half))
    save_checkpoint(tmp_path / "c", half.state_dict(), "mark")
    state = load_checkpoint(tmp_path / "c", "mark")
    going = make()
    going.load_state_dict(state)
    list(going)
    wanted, found = (flat(training.state_dict()) for training in (whole, going))
    assert wanted.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in wanted.items())
    wrong = ("text", -1, [[]], {"x": "y"}, torch.ones(1))
    states = [{k: v for k, v in state.items() if k != gone} for gone in state]
    states += [{**state, name: bad} for name in state for bad in wrong]
    for bad in states:
        with pytest.raises(CheckpointError) as caught:
            going.load_state_dict(bad)
        assert one_sentence(caught.value)


def flat(value, name: str = "") -> dict[str, torch.Tensor]:
    """Returns the tensors of a state by dotted name."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else [])
    )
    return {k: v for key, each in inner for k, v in flat(each, f"{name}.{key}").items()}


# --- looks and translators --------------------------------------------------------------------------------
def without(name):
    return lambda header, _tensors: {k: v for k, v in header.items() if k != name}


def set_to(name, value, part=None):
    def change(header, _tensors):
        target = header if part is None else functools.reduce(dict.__getitem__, part, header)
        target[name] = value

    return change


def dropped(prefix):
    def change(_header, tensors):
        for name in [n for n in tensors if n.startswith(prefix)][:1]:
            del tensors[name]

    return change


def put(prefix, value):
    def change(_header, tensors):
        for name in [n for n in tensors if n.startswith(prefix)][:1]:
            tensors[name] = value(tensors[name])

    return change


TENSOR_CHANGES = [
    put("", lambda t: torch.full_like(t, torch.nan)),
    put("", lambda t: torch.full_like(t, torch.inf)),
    put("", lambda t: t.to(torch.int64)),
    put("", lambda t: t[:0].clone()),
]
LOOK_CHANGES = [
    *(without(name) for name in ("format", "kind", "shape", "about")),
    *(set_to("kind", value) for value in ("instant", "johnson", [], 3, "x")),
    *(set_to("shape", value) for value in (None, 3, [], {}, {"width": 8})),
    *(set_to("about", value) for value in (None, "x", [])),
    *(set_to("format", value) for value in ("1", 2, True, 10**400)),
    *(set_to("width", value, ["shape"]) for value in (-3, 0, 10**7, 2.0, "8", None, 9, True)),
    *(set_to("dilations", value, ["shape"]) for value in ([], [1] * 10**5, [0], [10**9], 3, ["1"])),
    set_to("more", 1, ["shape"]),
    dropped("code"), dropped("colors"), dropped("painter."),
    put("code", lambda t: t[:, 1:].clone()), put("colors", lambda t: t[..., 1:].clone()),
    *TENSOR_CHANGES,
]  # fmt: skip


def refused_after(change, path: Path, key: str, load) -> None:
    """Asserts that a file is refused in one sentence once its header or tensors are changed."""
    rewritten(path, key, change)
    with pytest.raises(WeightsError) as caught:
        load(path)
    assert one_sentence(caught.value)


@pytest.mark.parametrize("number", range(len(LOOK_CHANGES)))
def test_a_look_that_lies_is_refused(tmp_path, number):
    path = tmp_path / "x.look"
    save_look(path, own_look())
    refused_after(LOOK_CHANGES[number], path, "impasto-look", load_look)


SHAPE = ["shapes", "ab"]
TRANSLATOR_CHANGES = [
    *(without(name) for name in ("format", "shapes", "about")),
    *(set_to("shapes", value) for value in (None, 3, [], {}, {"ab": 3}, {"up": {}})),
    *(set_to("blocks", value, SHAPE) for value in (10**7, -1, 0, 2, 1.0, "1", None)),
    *(set_to("channels", value, SHAPE) for value in (-4, 10**9, 5, [4])),
    *(set_to("kind", value, SHAPE) for value in ("unet", "x", 1)),
    *(set_to("norm", value, SHAPE) for value in ("batch", "x", None)),
    *(set_to("resized", value, SHAPE) for value in (True, 1, "yes")),
    set_to("more", 1, SHAPE), dropped("ab."), dropped("ba."), *TENSOR_CHANGES,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(TRANSLATOR_CHANGES)))
def test_a_translator_that_lies_is_refused(tmp_path, number):
    path = tmp_path / "x.translator"
    save_translator(path, own_translator())
    refused_after(TRANSLATOR_CHANGES[number], path, "impasto-translator", load_translator)


def test_part_of_a_manner_is_refused(tmp_path):
    look = load_look(Path("instant"))
    painter = AnyStylePainter(look.painter, [painting(64, 64)])
    save_look(tmp_path / "x.look", Look(look.painter, manner=painter.manners((64, 64))[0]))
    assert load_look(tmp_path / "x.look").manner is not None
    rewritten(tmp_path / "x.look", "impasto-look", dropped("manner.4"))
    with pytest.raises(WeightsError, match=r"manner\.4\.mean is missing"):
        load_look(tmp_path / "x.look")


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 10**8) + b"{" * 1000,
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 5000) + b"[" * 5000,
        b"",
        b"\x01",
    ],
)
def test_a_lying_safetensors_header_is_refused(tmp_path, header):
    (tmp_path / "x.safetensors").write_bytes(header)
    with pytest.raises(WeightsError) as caught:
        read_safetensors(tmp_path / "x.safetensors", KIND)
    assert one_sentence(caught.value)


def test_a_header_nested_too_deeply_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "x.look", {"impasto-look": "[" * 200_000})
    with pytest.raises(WeightsError, match="not valid JSON"):
        load_look(tmp_path / "x.look")


# --- state dicts of torch ---------------------------------------------------------------------------------
class Runs:
    """An object whose unpickling creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_no_code_in_a_state_dict_is_run(tmp_path):
    for name, save in (
        ("a.pth", torch.save),
        ("b.pth", lambda v, p: p.write_bytes(pickle.dumps(v))),
    ):
        save({"a": Runs(tmp_path / "ran")}, tmp_path / name)
        with pytest.raises(WeightsError, match="read safely"):
            read_state(tmp_path / name, KIND)
    assert not (tmp_path / "ran").exists()


SHARED = torch.zeros(1)


@pytest.mark.parametrize(
    "state",
    [
        {"a": torch.zeros(1).expand(10**10)},
        {"a": torch.empty(10**6, device="meta")},
        {"a": torch.eye(3).to_sparse()},
        {"a": torch.tensor([torch.nan])},
        {"a": torch.zeros(2, dtype=torch.complex64)},
        {"a": {"b": torch.zeros(1)}},
        {"a": 3},
        {},
        [torch.zeros(1)],
        {f"{n}": SHARED for n in range(10_001)},
    ],
    ids=[
        "expanded",
        "meta",
        "sparse",
        "nan",
        "complex",
        "nested",
        "number",
        "empty",
        "list",
        "many",
    ],
)
def test_a_state_of_anything_but_plain_tensors_is_refused(tmp_path, state):
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(WeightsError) as caught:
        read_state(tmp_path / "x.pth", KIND)
    assert one_sentence(caught.value)


def test_sizes_in_a_pickle_that_the_archive_does_not_hold_are_refused(tmp_path):
    """A storage that claims to be larger than its entry would be read past its end."""
    torch.save({"a": torch.ones(300)}, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in entries if name.endswith("data.pkl"))
    length = pickle.dumps(300, 2)[2:-1]
    assert entries[pickled].count(length) >= 2
    entries[pickled] = entries[pickled].replace(length, pickle.dumps(60_000, 2)[2:-1])
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(WeightsError):
        read_state(tmp_path / "x.pth", KIND)


def test_a_compressed_archive_is_refused(tmp_path):
    torch.save({"a": torch.zeros(10**6)}, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(WeightsError, match="compressed"):
        read_state(tmp_path / "x.pth", KIND)


def test_published_files_of_other_shapes_are_refused(tmp_path):
    state = make_generator(TINY).state_dict()
    wrong = {**state, "model.1.weight": torch.zeros(())}
    torch.save(wrong, tmp_path / "g.pth")
    with pytest.raises(WeightsError):
        load_translator(tmp_path / "g.pth")
    state = Johnson((4, 4, 4)).state_dict()
    torch.save({**state, "conv1.conv2d.weight": torch.zeros(3)}, tmp_path / "l.pth")
    with pytest.raises(WeightsError):
        load_look(tmp_path / "l.pth")
    torch.save({**RAFT(small=True).state_dict(), "extra": torch.zeros(1)}, tmp_path / "r.pth")
    with pytest.raises(WeightsError, match="'extra'"):
        load_raft(tmp_path / "r.pth")


def test_a_folder_and_a_pipe_are_no_files(tmp_path):
    (tmp_path / "x.look").mkdir()
    os.mkfifo(tmp_path / "y.look")
    for name in ("x.look", "y.look"):
        with pytest.raises(WeightsError, match="not a regular file"):
            load_look(tmp_path / name)


# --- ONNX -------------------------------------------------------------------------------------------------
def models() -> dict[str, bytes]:
    """Small models, each invalid in one way."""
    from onnx import TensorProto, helper, numpy_helper

    number = TensorProto.FLOAT

    def value(name, shape, kind=number):
        return helper.make_tensor_value_info(name, kind, shape)

    def model(nodes, *, inputs=None, outputs=None, constants=(), domains=()):
        graph = helper.make_graph(
            nodes, "g",
            inputs or [value("image", [1, 3, "h", "w"])],
            outputs or [value("pastiche", [1, 3, "h", "w"])],
            [numpy_helper.from_array(np.asarray(v), n) if not isinstance(v, TensorProto) else v
             for n, v in constants],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", 20), *(helper.make_opsetid(d, 1) for d in domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()

    def node(kind, *names, **more):
        return helper.make_node(kind, list(names[:-1]), [names[-1]], **more)

    outside = TensorProto(name="w", data_type=number, dims=[1, 3, 1, 1], data_location=1)
    place = outside.external_data.add()
    place.key, place.value = "location", "../../etc/passwd"
    body = helper.make_graph(
        [node("Identity", "c", "d"), node("Identity", "x", "y")], "body",
        [value("n", [], TensorProto.INT64), value("c", [], TensorProto.BOOL), value("x", [1, 3, "h", "w"])],
        [value("d", [], TensorProto.BOOL), value("y", [1, 3, "h", "w"])],
    )  # fmt: skip
    add = node("Add", "image", "w", "pastiche")
    shapes = {"a": [1, 3, "h", "w"], "flat": [1, 4, "h", "w"]}
    return {
        "external": model([add], constants=[("w", outside)]),
        "custom": model([node("Own", "image", "pastiche", domain="own")], domains=["own"]),
        "unknown": model([node("Nothing", "image", "pastiche")]),
        "loop": model([node("Loop", "m", "t", "image", "pastiche", body=body)],
                      constants=[("m", np.int64(2**62)), ("t", np.bool_(True))]),
        "rank": model([node("ReduceMean", "image", "pastiche", keepdims=0)], outputs=[value("pastiche", [])]),
        "integers": model([node("Cast", "image", "pastiche", to=7)],
                          outputs=[value("pastiche", [1, 3, "h", "w"], TensorProto.INT64)]),
        "names": model([node("Identity", "x", "y")], inputs=[value("x", shapes["a"])],
                       outputs=[value("y", shapes["a"])]),
        "inputs": model([node("Add", "image", "b", "pastiche")],
                        inputs=[value("image", shapes["a"]), value("b", shapes["a"])]),
        "channels": model([node("Identity", "image", "pastiche")], inputs=[value("image", shapes["flat"])],
                          outputs=[value("pastiche", shapes["flat"])]),
        "halved": model([node("MaxPool", "image", "pastiche", kernel_shape=[2, 2], strides=[2, 2])],
                        outputs=[value("pastiche", [1, 3, "a", "b"])]),
        "convolution": model([node("Conv", "image", "w", "pastiche")],
                             constants=[("w", np.zeros((3, 5, 1, 1), np.float32))]),
        "huge": model([node("ConstantOfShape", "s", "c"), node("ReduceMean", "c", "w", keepdims=0), add],
                      constants=[("s", np.array([10**6, 10**6]))]),
        "fixed": model([node("Identity", "image", "pastiche")], inputs=[value("image", [1, 3, 8, 8])],
                       outputs=[value("pastiche", [1, 3, 8, 8])]),
    }  # fmt: skip


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_onnx_models_that_are_no_looks_are_refused(tmp_path, runtime, capfd):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime" if runtime == "onnx" else "openvino")
    for name, data in models().items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=f"{name}.onnx cannot be read safely") as caught:
            LookPainter(read_graph(path, runtime)).picture(photograph(33, 40))
        assert one_sentence(caught.value), name
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "marks", ["[]", "3", "{", '{"multiple": -8}', '{"multiple": 1e9}', '{"mirrored": 1}', '{"multiple": null}']
)  # fmt: skip
def test_marks_of_an_onnx_model_are_checked(tmp_path, marks):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = onnx.load_from_string(models()["fixed"])
    entry = model.metadata_props.add()
    entry.key, entry.value = "impasto-look", marks
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError) as caught:
        read_graph(tmp_path / "x.onnx")
    assert one_sentence(caught.value)


# --- results ----------------------------------------------------------------------------------------------
def overflowing(network: nn.Module) -> None:
    """Sets finite weights that produce non-finite results."""
    with torch.no_grad():
        last = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))][-1]
        last.weight.fill_(3e38)


def painters():
    look = own_look()
    overflowing(look.painter)
    yield LookPainter(look)
    johnson = Look(Johnson((4, 4, 4)))
    overflowing(johnson.painter)
    yield LookPainter(johnson)
    instant = load_look(Path("instant"))
    with torch.no_grad():
        instant.painter.head.weight.fill_(3e38)
    yield AnyStylePainter(instant.painter, [painting(64, 64)])
    translator = own_translator()
    with torch.no_grad():
        translator.generator("ab").model[1].weight.fill_(3e38)
    yield TranslatorPainter(translator)


def test_a_picture_that_is_not_finite_is_refused():
    for painter in painters():
        with pytest.raises(DivergedError, match="not finite") as caught:
            painter.picture(photograph(64, 64))
        assert one_sentence(caught.value)


def test_a_unet_of_too_few_halvings_is_not_trained():
    domains = [
        Domain(n, [torch.zeros(3, 64, 64, dtype=torch.uint8)], [n], [], frozenset([hash(n)]))
        for n in "ab"
    ]
    chosen = translate_options(network="unet", blocks=4, size=64, crop=64, device="cpu")
    with pytest.raises(UsageError, match="at least 5"):
        TranslatorTraining(domains[0], domains[1], chosen)


# --- segmentation, flow and profiles ----------------------------------------------------------------------
@pytest.mark.parametrize(
    "change", [{"depths": [3000, 1]}, {"hidden_sizes": [10**9, 16]}, {"depths": [2, 1]}, {"depths": "x"},
               {"id2label": 3}, {"num_attention_heads": [0, 0]}, {"model_type": "none"}, {"id2label": {"0": "sky"}}],
)  # fmt: skip
def test_settings_of_a_segmenter_that_lie_are_refused(tmp_path, change, capfd):
    transformers = pytest.importorskip("transformers")
    config = transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[4, 2], hidden_sizes=[8, 16], patch_sizes=[7, 3],
        strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16,
        id2label={0: "sky", 1: "tree"},
    )  # fmt: skip
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(tmp_path)
    capfd.readouterr()
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, **change}))
    with pytest.raises(InputError) as caught:
        Segmenter(tmp_path).masks(photograph(64, 64))
    assert one_sentence(caught.value)
    assert capfd.readouterr().err == ""


def flo(width: int, height: int, body: bytes = b"") -> bytes:
    return struct.pack("<fii", 202021.25, width, height) + body


@pytest.mark.parametrize(
    "data", [flo(2**31 - 1, 2**31 - 1), flo(-1, 5), flo(0, 0), flo(9000, 9000), flo(2, 2, bytes(31)), b""]
)  # fmt: skip
def test_flow_of_lying_sizes_is_refused(tmp_path, data):
    (tmp_path / "x.flo").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_flow(tmp_path / "x.flo")
    assert one_sentence(caught.value)


def test_kitti_flow_of_lying_sizes_is_refused(tmp_path):
    write_flow(tmp_path / "x.png", torch.zeros(1, 2, 8, 8))
    data = bytearray((tmp_path / "x.png").read_bytes())
    data[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(InputError, match="allowed are 1 to 64 million"):
        read_flow(tmp_path / "x.png")


def test_flow_that_is_not_finite_is_unknown(tmp_path):
    field = np.array([[np.nan, 1], [np.inf, 1], [1e10, 1], [2, 3]], "<f4")
    (tmp_path / "x.flo").write_bytes(flo(4, 1, field.tobytes()))
    flow, known = read_flow(tmp_path / "x.flo")
    assert known.flatten().tolist() == [0, 0, 0, 1]
    assert flow[0, :, 0].T.tolist() == [[0, 0], [0, 0], [0, 0], [2, 3]]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_pictures_written_at_different_times_are_equal_files(tmp_path, monkeypatch, suffix):
    from PIL import ImageCms

    from impasto.media import write

    made = ImageCms.createProfile("sRGB")
    whole = bytearray(ImageCms.ImageCmsProfile(made).tobytes())
    picture = Picture(rgb=np.full((8, 8, 3), 0.5, np.float32))
    contents = []
    for year in (1999, 2031):
        whole[24:26], whole[84:88] = struct.pack(">H", year), struct.pack(">I", year)
        profile = ImageCms.ImageCmsProfile(io.BytesIO(bytes(whole)))
        monkeypatch.setattr(ImageCms, "ImageCmsProfile", lambda _made, given=profile: given)
        write._srgb.cache_clear()
        write_image(tmp_path / f"x{suffix}", picture)
        contents.append((tmp_path / f"x{suffix}").read_bytes())
        monkeypatch.undo()
    write._srgb.cache_clear()
    assert contents[0] == contents[1]


# --- seeded damage ----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def valid(tmp_path_factory, checkpoint) -> dict[str, bytes]:
    """Valid files by name."""
    folder = tmp_path_factory.mktemp("valid")
    save_look(folder / "x.look", own_look())
    save_look(folder / "j.look", Look(Johnson((4, 4, 4))))
    save_translator(folder / "x.translator", own_translator())
    torch.save(Johnson((4, 4, 4)).state_dict(), folder / "l.pth")
    torch.save(
        Johnson((4, 4, 4)).state_dict(), folder / "l.model", _use_new_zipfile_serialization=False
    )
    torch.save(make_generator(TINY).state_dict(), folder / "g.pt")
    write_flow(folder / "x.flo", torch.rand(1, 2, 6, 7))
    write_flow(folder / "x.png", torch.rand(1, 2, 6, 7))
    (folder / "run.checkpoint").write_bytes(checkpoint)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def complaint(read, path: Path) -> bool:
    """Whether a file is read or rejected with a one-sentence error."""
    try:
        read(path)
    except ImpastoError as error:
        return one_sentence(error)
    return True


def picture_of(look: Look) -> None:
    LookPainter(look).picture(photograph(32, 32))


READERS = {
    "look": lambda path: picture_of(load_look(path)),
    "pth": lambda path: picture_of(load_look(path)),
    "model": lambda path: picture_of(load_look(path)),
    "translator": lambda path: TranslatorPainter(load_translator(path)).picture(photograph(32, 32)),
    "pt": lambda path: TranslatorPainter(load_translator(path)).picture(photograph(32, 32)),
    "flo": read_flow,
    "png": read_flow,
    "checkpoint": lambda path: load_checkpoint(path, "mark"),
}


@pytest.mark.parametrize(
    "name", ["x.look", "j.look", "x.translator", "l.pth", "l.model", "g.pt", "x.flo", "x.png", "run.checkpoint"]
)  # fmt: skip
def test_damaged_files_raise_our_errors_alone(tmp_path, valid, name, capfd):
    data, path = valid[name], tmp_path / name
    read = READERS[name.rpartition(".")[2]]
    path.write_bytes(data)
    read(path)
    for seed in range(22):
        path.write_bytes(mutated(data, random.Random(seed)))
        assert complaint(read, path), seed
    assert capfd.readouterr() == ("", "")


def test_damaged_onnx_models_raise_our_errors_alone(tmp_path, capfd):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    data = models()["fixed"]
    for seed in range(40):
        (tmp_path / "x.onnx").write_bytes(mutated(data, random.Random(seed)))
        assert complaint(lambda path: picture_of(read_graph(path)), tmp_path / "x.onnx"), seed
    assert capfd.readouterr() == ("", "")
