"""Translators: published shapes, files, strips, training, resume, and the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from films import decoded, film, packets_of, write_film
from helpers import photograph
from PIL import Image

from impasto.config import film_options, options, translate_options
from impasto.errors import CheckpointError, DivergedError, InputError, UsageError, WeightsError
from impasto.pipeline import look_painter, prepare_film
from impasto.translate import (
    GeneratorShape,
    Translator,
    TranslatorPainter,
    is_translator,
    load_translator,
    make_generator,
    save_translator,
)
from impasto.translate.domains import Domain, gather_domain
from impasto.translate.losses import ImagePool, adversarial_loss
from impasto.translate.networks import (
    SKIP_GAIN,
    Discriminator,
    ResnetGenerator,
    UnetGenerator,
    multiply_adds,
)
from impasto.translate.train import TranslatorTraining

TINY = GeneratorShape(channels=4, blocks=1)
QUICK = {
    "network": "small", "channels": 8, "blocks": 1, "discriminator_channels": 8, "discriminator_layers": 1,
    "size": 32, "crop": 32, "steps": 4, "decay_steps": 2, "sample_every": 3, "pool": 4,
}  # fmt: skip


def domain(
    name: str, seed: int, tint: tuple[float, float, float] = (1.0, 1.0, 1.0), count: int = 10
):
    generator = torch.Generator().manual_seed(seed)
    base = torch.rand(count, 3, 5, 6, generator=generator)
    large = torch.nn.functional.interpolate(base, (34, 40), mode="bicubic").clamp(0, 1)
    tinted = large * torch.tensor(tint).view(1, 3, 1, 1)
    pictures = list((255 * tinted).round().to(torch.uint8))
    marks = frozenset(hash(p.numpy().tobytes()) for p in pictures)
    return Domain(name, pictures[2:], [str(n) for n in range(2, count)], pictures[:2], marks)


def training(**changes) -> TranslatorTraining:
    return TranslatorTraining(
        domain("a", 1), domain("b", 2, (1.0, 0.6, 0.3)), translate_options(**{**QUICK, **changes})
    )


def random_translator(shape: GeneratorShape = TINY, directions=("ab", "ba")) -> Translator:
    torch.manual_seed(3)
    made = {d: make_generator(shape).eval() for d in directions}
    for generator in made.values():
        for weight in generator.parameters():
            torch.nn.init.normal_(weight, 0.0, 0.2)
    return Translator(made, {"license": "none"})


def test_the_networks_have_the_published_sizes():
    weights = [
        sum(w.numel() for w in network.parameters())
        for network in (
            ResnetGenerator(GeneratorShape()),
            UnetGenerator(GeneratorShape("unet", 64, 8)),
            Discriminator(),
        )
    ]
    # as printed by the published code: 11.378 M, 54.41 M (54.414 with biases of instance normalization), 2.765 M
    assert [round(w / 1e6, 2) for w in weights] == [11.38, 54.41, 2.76]
    whole = multiply_adds(ResnetGenerator(GeneratorShape()), (64, 64))
    small = multiply_adds(
        ResnetGenerator(GeneratorShape(channels=24, blocks=4, resized=True)), (64, 64)
    )
    assert small < 0.12 * whole


def test_a_score_of_the_discriminator_covers_seventy_pixels():
    discriminator = Discriminator(4)
    for module in discriminator.modules():
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.forward = lambda x: x
    image = torch.zeros(1, 3, 142, 142, requires_grad=True)
    out = discriminator(image)
    middle = out.shape[-1] // 2
    out[0, 0, middle, middle].backward()
    seen = image.grad.abs().sum((0, 1)).nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [70, 70]


@pytest.mark.parametrize("size", [(40, 52), (41, 55)])
def test_a_picture_keeps_its_size_and_strips_have_no_seam(size):
    image = photograph(*size)
    translator = random_translator()
    assert TranslatorPainter(translator).picture(image).shape == image.shape
    assert (
        float((TranslatorPainter(translator, strength=0.0).picture(image) - image).abs().max())
        < 1e-6
    )
    generator = translator.generators["ab"]
    large = 2 * photograph(200, 64) - 1
    with torch.no_grad():
        assert float((generator(large) - generator(large, rows=32)).abs().max()) < 1e-4


def test_a_translator_is_written_and_read_again(tmp_path):
    path = tmp_path / "m.translator"
    save_translator(path, random_translator())
    again = load_translator(path)
    assert again.about == {"license": "none"}
    for direction in ("ab", "ba"):
        pair = [
            TranslatorPainter(t, direction).picture(photograph())
            for t in (again, random_translator())
        ]
        assert float((pair[0] - pair[1]).abs().max()) < 3e-2
    assert not list(tmp_path.glob("*.part"))
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read safely as a translator"):
        load_translator(path)


@pytest.mark.parametrize(
    "shape",
    [
        GeneratorShape("resnet", 4, 2),
        GeneratorShape("resnet", 4, 2, "batch", dropout=True),
        GeneratorShape("unet", 4, 5),
        GeneratorShape("unet", 4, 6, "batch"),
    ],
)
def test_published_checkpoints_are_known_by_their_keys(tmp_path, shape):
    network = make_generator(shape)
    state = dict(network.state_dict())
    # old versions stored running statistics
    if shape.kind == "resnet" and shape.norm == "instance":
        state["model.2.running_mean"] = torch.zeros(4)
        state["model.2.running_var"] = torch.ones(4)
    torch.save(state, tmp_path / "latest_net_G_A.pth")
    assert is_translator(tmp_path / "latest_net_G_A.pth")
    found = load_translator(tmp_path / "latest_net_G_A.pth").generators["ab"]
    assert found.shape == shape
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(found(image), network.eval()(image))


def test_another_architecture_is_named(tmp_path):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "x.pth")
    assert not is_translator(tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"its first weights are conv1\.weight"):
        load_translator(tmp_path / "x.pth")
    state = make_generator(TINY).state_dict()
    del state["model.4.weight"]
    torch.save(state, tmp_path / "y.pth")
    with pytest.raises(WeightsError, match="looks like a resnet with 4 channels and 1 blocks"):
        load_translator(tmp_path / "y.pth")


def test_adversarial_losses_have_their_known_values():
    zero = torch.zeros(1, 1, 3, 3)
    assert float(adversarial_loss(zero, real=True)) == 1
    assert float(adversarial_loss(zero, real=False)) == 0
    half = torch.log(torch.tensor(2.0))
    for real in (True, False):
        assert float(adversarial_loss(zero, real=real, adversary="log")) == pytest.approx(
            float(half)
        )


def test_the_pool_gives_back_older_pictures():
    pool, generator = ImagePool(3), torch.Generator().manual_seed(0)
    given = [float(pool.exchange(torch.full((1, 1, 1, 1), float(n)), generator)) for n in range(40)]
    assert given[:3] == [0, 1, 2]
    assert any(out < n for n, out in enumerate(given[3:], 3))
    assert len(pool.images) == 3
    one = torch.ones(1, 1, 1, 1)
    assert ImagePool(0).exchange(one, generator) is one


def test_a_small_generator_begins_with_the_domains_colors():
    begun = training(network="small")
    for direction, domain in (("ab", "b"), ("ba", "a")):
        source = begun.domains[direction[0]].colors()
        matrix = SKIP_GAIN * begun.generators[direction].skip.weight.detach()[..., 0, 0].double()
        offset = SKIP_GAIN * begun.generators[direction].skip.bias.detach()[:, None].double()
        mean, covariance = begun.domains[domain].colors()
        torch.testing.assert_close((matrix @ source[0] + offset), mean, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(matrix @ source[1] @ matrix.T, covariance, atol=1e-3, rtol=1e-3)
        picture = 2 * torch.rand(1, 3, 32, 32) - 1
        made = begun.generators[direction].eval()(picture)
        mapped = (matrix.float() @ picture.flatten(2) + offset.float()).view_as(picture)
        torch.testing.assert_close(made, mapped, atol=1e-4, rtol=1e-4)


def test_the_domains_colors_are_learned():
    taught = training(
        steps=120, decay_steps=0, batch=2, learning_rate=2e-3, sample_every=120, identity_weight=0.0
    )
    for generator in taught.generators.values():
        generator.begin_with(torch.eye(3), torch.zeros(3, 1))  # the discriminators alone
    target = (
        torch.stack([p.float() for p in taught.domains["b"].pictures]).mean((0, 2, 3)) / 127.5 - 1
    )
    held = torch.stack([p.float() for p in taught.domains["a"].held])[..., :32, :32] / 127.5 - 1
    for _step in taught:
        pass
    with torch.no_grad():
        made = taught.generators["ab"](held).mean((0, 2, 3))
    before = (held.mean((0, 2, 3)) - target).abs().mean()
    assert float((made - target).abs().mean()) < 0.75 * float(before)


@pytest.mark.parametrize(
    "changes",
    [{}, {"adversary": "log", "style_weight": 1.0, "steady_weight": 5.0, "averaging": 0.9}],
)
def test_a_run_that_was_stopped_goes_on_exactly(changes):
    whole = training(**changes)
    terms = [set(step.terms) for step in whole]
    wanted = {"adversary_ab", "adversary_ba", "cycle", "identity", "discriminator"}
    assert terms[0] == wanted | ({"style", "steady"} if changes else set())
    half = training(**changes)
    iterator = iter(half)
    for _ in range(3):
        next(iterator)
    going = training(**changes)
    going.load_state_dict(half.state_dict())
    assert len(list(going)) == 3
    for name, value in whole.generators["ab"].state_dict().items():
        torch.testing.assert_close(value, going.generators["ab"].state_dict()[name], atol=0, rtol=0)
    assert whole.history == going.history
    with pytest.raises(CheckpointError, match="other options"):
        training(seed=4).load_state_dict(half.state_dict())


def test_steadiness_may_be_added_to_a_training_that_is_done():
    done = training()
    assert not any("steady" in step.terms for step in done)
    late = training(steady_weight=5.0, decay_steps=done.options.decay_steps + 2)
    late.load_state_dict(done.state_dict())
    assert ["steady" in step.terms for step in late] == [True, True]


def test_pairs_are_learned_together():
    a = domain("a", 1)
    b = Domain("b", [255 - p for p in a.pictures], a.names, [255 - p for p in a.held])
    plan = translate_options(
        **{
            **QUICK,
            "paired": True,
            "steps": 150,
            "decay_steps": 0,
            "learning_rate": 3e-3,
            "sample_every": 150,
        }
    )
    taught = TranslatorTraining(a, b, plan)
    terms = [step.terms["pair"] for step in taught]
    assert set(taught.generators) == {"ab"}
    assert np.mean(terms[-10:]) < 0.6 * np.mean(terms[:10])
    with pytest.raises(UsageError, match="A and B have no name in common"):
        TranslatorTraining(a, Domain("b", b.pictures, ["x"] * len(b.pictures), b.held), plan)


def test_a_loss_that_is_not_finite_ends_it():
    taught = training(learning_rate=1.0, steps=60)
    taught.generators["ab"].model[1].weight.data.fill_(float("nan"))
    with pytest.raises(DivergedError, match="resume from the last checkpoint"):
        list(taught)


def test_domains_that_teach_nothing_are_refused(tmp_path):
    a = domain("a", 1)
    part = Domain("b", a.pictures[:3], a.names[:3], a.held, frozenset(list(a.marks)[:3]))
    with pytest.raises(UsageError, match="all images of b are also in a"):
        TranslatorTraining(a, part, translate_options(**QUICK))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no usable images"):
        gather_domain(tmp_path / "empty", "A", 32)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "empty" / "good.png")
    (tmp_path / "empty" / "bad.png").write_bytes(b"no picture")
    found = gather_domain(tmp_path / "empty", "A", 32)
    assert len(found.pictures) == 1
    assert len(found.notes) == 1
    assert found.pictures[0].shape == (3, 32, 40)
    write_film(tmp_path / "c.mp4", film(5))
    assert len(gather_domain(tmp_path / "c.mp4", "A", 32).pictures) >= 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": 64, "size": 32}, "must not be larger than --size; got 64 and 32"),
        ({"crop": 30}, "must be a multiple of 4"),
        ({"network": "unet", "blocks": 5, "crop": 48, "size": 48}, "must be a multiple of 32"),
    ],
)
def test_crops_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        translate_options(**{**QUICK, "blocks": 0, **changes})


PROGRAM = """
import sys
from pathlib import Path
import torch
from impasto.machine import join_processes
sys.path.insert(0, sys.argv[2])
writes = join_processes(Path(sys.argv[1]))
from test_translate import training
taught = training()
list(taught)
torch.save(taught.generators["ab"].state_dict(), Path(sys.argv[1]) / f"{int(writes)}.pt")
"""


def test_two_processes_share_what_they_learn(tmp_path):
    environment = {
        **os.environ,
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    support = os.path.join(os.path.dirname(os.path.dirname(__file__)), "support")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), os.path.dirname(__file__)],
            env={
                **environment,
                "RANK": str(rank),
                "PYTHONPATH": os.pathsep.join([support, *sys.path]),
            },
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    one, other = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (0, 1))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name])


def test_a_film_is_translated_and_goes_on_to_the_byte(tmp_path):
    save_translator(tmp_path / "m.translator", random_translator())
    clip = write_film(tmp_path / "c.mp4", film(5), sound=True)

    def job(name, resume=False):
        plan = options(size=0, look=tmp_path / "m.translator", direction="ba")
        return prepare_film(
            clip, [], tmp_path / name, plan, film_options("steady", codec="ffv1"), resume=resume
        )

    whole = job("a.mkv")
    assert len(list(whole)) == 5
    whole.assemble()
    broken = iter(job("b.mkv"))
    next(broken)
    next(broken)
    broken.close()  # waits until the last frame is on disk
    going = job("b.mkv", resume=True)
    assert len(list(going)) == 3
    going.assemble()
    np.testing.assert_array_equal(decoded(tmp_path / "a.mkv"), decoded(tmp_path / "b.mkv"))
    with pytest.raises(UsageError, match="has a built-in style"):
        look_painter(options(look=tmp_path / "m.translator"), [photograph()])


def test_the_commands_learn_and_translate_pictures_and_films(tmp_path):
    for name, tint in (("a", (255, 200, 180)), ("b", (80, 120, 255))):
        (tmp_path / name).mkdir()
        for number in range(6):
            noise = np.random.default_rng(number).uniform(0.3, 1.0, (36, 40, 1))
            Image.fromarray((noise * tint).astype(np.uint8)).save(tmp_path / name / f"{number}.png")
    write_film(tmp_path / "c.mp4", film(4), sound=True)
    code = [sys.executable, "-c", "from impasto.cli import main; main()"]

    def run(*words):
        return subprocess.run(
            [*code, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=180
        )

    plan = [f"--{key.replace('_', '-')}={value}" for key, value in QUICK.items()]
    taught = run("train-translator", "--a", "a", "--b", "b", "-o", "made", *plan, "--json")
    assert taught.returncode == 0, taught.stderr
    events = [json.loads(line) for line in taught.stdout.splitlines()]
    assert "this will take about" in events[0]["text"]
    assert [event["step"] for event in events if event["event"] == "step"] == [1, 2, 3, 4, 5, 6]
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert names == ["checkpoint", "curves.png", "model.translator", "samples.png"]
    longer = [word.replace("decay-steps=2", "decay-steps=3") for word in plan]
    more = run(
        "train-translator", "--a", "a", "--b", "b", "-o", "made", *longer, "--resume", "--quiet"
    )
    assert more.returncode == 0, more.stderr

    torch.save({"conv1.conv2d.weight": torch.zeros(3)}, tmp_path / "look.pth")
    torch.save(make_generator(TINY).state_dict(), tmp_path / "latest_net_G_A.pth")
    for model in ("made/model.translator", "latest_net_G_A.pth"):
        picture = run("translate", "a/0.png", "--model", model, "-o", "o.png")
        assert picture.returncode == 0, picture.stderr
        with Image.open(tmp_path / "o.png") as made:
            assert made.size == (40, 36)
        moving = run("translate", "c.mp4", "--model", model, "-o", "o.mp4", "--strength", "0.5")
        assert moving.returncode == 0, moving.stderr
        assert packets_of(tmp_path / "o.mp4", "audio") == packets_of(tmp_path / "c.mp4", "audio")
    folder = run("translate", "a", "--model", "latest_net_G_A.pth", "-o", "many")
    assert len(list((tmp_path / "many").iterdir())) == 6, folder.stderr
    for words, message in (
        (
            ["translate", "a/0.png", "--model", "none.translator", "-o", "x.png"],
            "none.translator does not exist",
        ),
        (["translate", "a/0.png", "--model", "look.pth", "-o", "x.png"], "is not a generator of"),
        (
            ["train-translator", "--a", "a", "--b", "a", "-o", "again"],
            "pass two different sets of images",
        ),
        (["train-translator", "--a", "a", "--b", "none", "-o", "again"], "none does not exist"),
    ):
        failed = run(*words)
        assert failed.returncode != 0
        assert message in failed.stderr
        assert failed.stderr.strip().count("\n") == 0
