"""Training of translators: an iterable of steps, like the training of looks.

Zhu et al. 2017, eqs. 1-3 and section 4; with ``paired``, Isola et al. 2017, eqs. 1-4.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from impasto.config import TranslateOptions, to_mapping
from impasto.errors import UsageError
from impasto.losses import gram_loss, gram_matrix
from impasto.media import color_map
from impasto.training import TrainingRun, TrainStep, backbone_on, linear_share, set_rate, steps_of
from impasto.translate.domains import Domain, along, check_domains, crop_of, pairs_of, small_move
from impasto.translate.file import Translator
from impasto.translate.losses import ImagePool, adversarial_loss
from impasto.translate.networks import (
    LEAST_HALVINGS,
    Discriminator,
    GeneratorShape,
    initialize,
    make_generator,
)
from impasto.types import Backbone
from impasto.weights import adam_moments, load_adam_moments

__all__ = ["TranslatorTraining"]

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1")
STYLE_PICTURES = 24
HALF = 0.5
"""Factor on the discriminator's loss, as published, which slows its training relative to the generator."""

OTHER = {"ab": "ba", "ba": "ab"}

CHANGING = ("steps", "decay_steps", "learning_rate", "steady_weight")
"""Options that may change on resume; stability costs time and is needed only late in the training."""


class TranslatorTraining:
    """Trains generators between two image domains; iterate over it to train.

    Args:
        a: Images of domain A.
        b: Images of domain B.
        options: All other options.

    Attributes:
        generators: Generators by direction.
        run: Random numbers, step count and history, which is the mean losses between consecutive samples.

    Raises:
        UsageError: The domains or the options are unsuitable.
    """

    def __init__(self, a: Domain, b: Domain, options: TranslateOptions) -> None:
        check_domains(a, b, paired=options.paired)
        self.options, self.domains = options, {"a": a, "b": b}
        self._pairs = pairs_of(a, b) if options.paired else []
        self.run = TrainingRun(options, CHANGING)
        self.device, self._generator = self.run.device, self.run.generator
        directions = ("ab",) if options.paired else ("ab", "ba")
        shape = _shape(options)
        self.generators: dict[str, Any] = {
            d: make_generator(shape).to(self.device) for d in directions
        }
        self._begin_with_colors()
        self._averages = {
            d: copy.deepcopy(g).eval().requires_grad_(requires_grad=False)
            for d, g in self.generators.items()
            if options.averaging > 0
        }
        self.discriminators = {d: self._discriminator().to(self.device) for d in directions}
        self._pools = {d: ImagePool(options.pool) for d in directions}
        self._painting = [w for g in self.generators.values() for w in g.parameters()]
        self._discriminating = [w for j in self.discriminators.values() for w in j.parameters()]
        betas = (options.beta1, 0.999)
        self._solvers = [
            torch.optim.Adam(weights, lr=options.learning_rate, betas=betas)
            for weights in (self._painting, self._discriminating)
        ]
        self._seeing: Backbone | None = None
        self._styles = self._style_targets() if options.style_weight > 0 else {}
        self._sums: dict[str, float] = {}

    @property
    def steps(self) -> int:
        """Total number of steps."""
        return self.options.steps + self.options.decay_steps

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return self.run.step

    @property
    def history(self) -> list[dict[str, float]]:
        """Mean losses between consecutive samples, with their steps."""
        return self.run.history

    def _begin_with_colors(self) -> None:
        """Initializes the linear color maps of generators that have one, with the color transfer between the domains.

        It follows in closed form from the means and covariances of both domains (Pitie and Kokaram 2007), so that it
        need not be learned from the discriminator.
        """
        mapping = {d: g for d, g in self.generators.items() if g.shape.skip}
        own = {name: domain.colors() for name, domain in self.domains.items()} if mapping else {}
        for direction, generator in mapping.items():
            matrix, offset = color_map(own[direction[0]], own[direction[1]])
            generator.begin_with(matrix[0], offset[0])

    def _discriminator(self) -> nn.Module:
        options = self.options
        width = options.discriminator_channels or (32 if options.network == "small" else 64)
        norm = "batch" if options.paired and options.network == "unet" else "instance"
        discriminator = Discriminator(
            width, 6 if options.paired else 3, norm, options.discriminator_layers
        )
        initialize(discriminator)
        return discriminator

    def __iter__(self) -> Iterator[TrainStep]:
        """Yields one `TrainStep` per step.

        Raises:
            DivergedError: A loss is not finite; the last checkpoint is kept.
        """
        return steps_of(self, self.options.sample_every)

    def finished(self) -> bool:
        """Returns False: the number of steps is fixed."""
        return False

    def record(self) -> None:
        """Appends the mean losses since the last sample to the history."""
        before = self.history[-1]["step"] if self.history else 0.0
        count = max(1.0, self.step - before)
        self.run.append({name: value / count for name, value in self._sums.items()})
        self._sums = {}

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Returns random crops of both domains, ``(batch, 3, crop, crop)`` each."""
        options = self.options
        found: tuple[list[Tensor], list[Tensor]] = ([], [])
        a, b = self.domains["a"], self.domains["b"]
        for _ in range(options.batch):
            if options.paired:
                first, second = self._pairs[self.run.draw(len(self._pairs))]
                state = self._generator.get_state()
                found[0].append(a.crop(first, options.crop, self._generator, flip=options.flip))
                self._generator.set_state(state)  # the same crop position in both images
                found[1].append(b.crop(second, options.crop, self._generator, flip=options.flip))
            else:
                for domain, crops in ((a, found[0]), (b, found[1])):
                    number = self.run.draw(len(domain.pictures))
                    crops.append(
                        domain.crop(number, options.crop, self._generator, flip=options.flip)
                    )
        return torch.cat(found[0]).to(self.device), torch.cat(found[1]).to(self.device)

    def learn(self) -> tuple[float, dict[str, float]]:
        """Trains generators, then discriminators; returns the generators' loss and all terms."""
        options = self.options
        rate = linear_share(self.step, options.steps, options.decay_steps)
        set_rate(self._solvers, options.learning_rate * rate)
        a, b = self._batch()
        for discriminator in self.discriminators.values():
            discriminator.requires_grad_(requires_grad=False)
        with self._mixed():
            terms, made = (self._paired_terms if options.paired else self._cycle_terms)(a, b)
        loss = torch.stack(list(terms.values())).sum()
        self.run.descend(self._solvers[0], self._painting, loss)
        self._average()
        for discriminator in self.discriminators.values():
            discriminator.requires_grad_(requires_grad=True)
        with self._mixed():
            scores = self._discriminator_loss(a, b, made)
        self.run.descend(self._solvers[1], self._discriminating, scores)
        values = {name: value.item() for name, value in terms.items()} | {
            "discriminator": scores.item()
        }
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        return loss.item(), values

    @property
    def results(self) -> dict[str, Any]:
        """The generators to save: their exponential moving averages if averaging is enabled."""
        return self._averages or self.generators

    @torch.no_grad()
    def _average(self) -> None:
        share = min(self.options.averaging, (self.step + 1) / (self.step + 10))
        for direction, average in self._averages.items():
            now = self.generators[direction].state_dict()
            for name, value in average.state_dict().items():
                value.copy_(share * value + (1 - share) * now[name])

    def _mixed(self) -> torch.autocast:
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.options.precision == "bfloat16"
        )

    def _cycle_terms(self, a: Tensor, b: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Computes the losses of eqs. 1 to 3 and the identity loss of the paper, and the additional terms."""
        options = self.options
        real = {"ab": a, "ba": b}
        made = {d: self.generators[d](real[d]).float() for d in ("ab", "ba")}
        terms = {
            f"adversary_{d}": adversarial_loss(
                self.discriminators[d](made[d]).float(), real=True, adversary=options.adversary
            )
            for d in made
        }
        if options.cycle_weight > 0:
            back = {d: self.generators[OTHER[d]](made[d]).float() for d in made}
            apart = torch.stack([(back[d] - real[d]).abs().mean() for d in made])
            terms["cycle"] = options.cycle_weight * apart.sum()
        if options.identity_weight > 0:
            same = [
                (self.generators[d](real[OTHER[d]]).float() - real[OTHER[d]]).abs().mean()
                for d in made
            ]
            terms["identity"] = (
                options.identity_weight * options.cycle_weight * torch.stack(same).sum()
            )
        return terms | self._own_terms(real, made), made

    def _paired_terms(self, a: Tensor, b: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        made = {"ab": self.generators["ab"](a).float()}
        scores = self.discriminators["ab"](torch.cat([a, made["ab"]], dim=1)).float()
        terms = {
            "adversary_ab": adversarial_loss(scores, real=True, adversary=self.options.adversary),
            "pair": self.options.pair_weight * (made["ab"] - b).abs().mean(),
        }
        return terms | self._own_terms({"ab": a}, made), made

    def _own_terms(
        self, real: Mapping[str, Tensor], made: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Computes the additional terms: style loss to the target domain, and stability under small motions."""
        options, terms = self.options, dict[str, Tensor]()
        if options.style_weight > 0:
            assert self._seeing is not None
            errors = []
            for direction, image in made.items():
                maps = self._seeing((image + 1) / 2, STYLE_LAYERS)
                mean = {k: gram_matrix(maps[k].float()).mean(0, keepdim=True) for k in STYLE_LAYERS}
                errors += [gram_loss(mean[k], self._styles[direction][k]) for k in STYLE_LAYERS]
            terms["style"] = options.style_weight * torch.stack(errors).mean()
        if options.steady_weight > 0:
            apart = []
            for direction, image in real.items():
                grid, moved = small_move(image, self._generator)
                later = self.generators[direction](moved).float()
                apart.append((later - along(made[direction], grid)).square().mean())
            terms["steady"] = options.steady_weight * torch.stack(apart).sum()
        return terms

    def _discriminator_loss(self, a: Tensor, b: Tensor, made: Mapping[str, Tensor]) -> Tensor:
        found, options = [], self.options
        for direction, images in made.items():
            wanted = b if direction == "ab" else a
            shown = images.detach()
            if options.paired:
                wanted, shown = torch.cat([a, b], dim=1), torch.cat([a, shown], dim=1)
            shown = self._pools[direction].exchange(shown, self._generator)
            discriminator = self.discriminators[direction]
            found += [
                adversarial_loss(
                    discriminator(wanted).float(), real=True, adversary=options.adversary
                ),
                adversarial_loss(
                    discriminator(shown).float(), real=False, adversary=options.adversary
                ),
            ]
        return HALF * torch.stack(found).sum()

    @torch.no_grad()
    def _style_targets(self) -> dict[str, dict[str, Tensor]]:
        """Computes mean Gram matrices of each target domain, by direction."""
        self._seeing = backbone_on(self.device)
        found = {}
        for direction, name in (("ab", "b"), ("ba", "a")):
            pictures = self.domains[name].pictures[:STYLE_PICTURES]
            crops = torch.cat([crop_of(p, self.options.crop, None) for p in pictures])
            maps = self._seeing((crops.to(self.device) + 1) / 2, STYLE_LAYERS)
            found[direction] = {
                k: gram_matrix(maps[k].float()).mean(0, keepdim=True) for k in STYLE_LAYERS
            }
        return found

    @torch.no_grad()
    def samples(self) -> list[Tensor]:
        """Returns rows of held-out images, their translations and reconstructions; ``(3, H, W)`` in ``[0, 1]``."""
        rows = []
        for direction, generator in self.results.items():
            domain = self.domains[direction[0]]
            for picture in domain.held:
                image = crop_of(picture, self.options.crop, None).to(self.device)
                generator.eval()
                made = generator(image)
                row = [image, made]
                if not self.options.paired:
                    row.append(self.results[OTHER[direction]].eval()(made))
                rows.append((torch.cat(row, dim=3)[0].cpu() + 1) / 2)
        for generator in self.generators.values():
            generator.train()
        return [row.clamp(0, 1) for row in rows]

    def translator(self, **about: Any) -> Translator:
        """Returns the translator in its current state."""
        told = {"training": to_mapping(self.options), "steps": self.step, **about}
        copies = {d: copy.deepcopy(g).cpu().eval() for d, g in self.results.items()}
        return Translator(copies, told)

    def state_dict(self) -> dict[str, Any]:
        """Returns everything needed to resume the training."""
        return {
            "generators": {d: g.state_dict() for d, g in self.generators.items()},
            "averages": {d: g.state_dict() for d, g in self._averages.items()},
            "discriminators": {d: j.state_dict() for d, j in self.discriminators.items()},
            "solvers": [adam_moments(solver) for solver in self._solvers],
            "pools": {d: pool.images for d, pool in self._pools.items()},
            "sums": self._sums,
            **self.run.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state from `state_dict`; only steps, learning rate and ``steady_weight`` may differ.

        Raises:
            CheckpointError: The options differ, or a field is missing or does not match this run.
        """
        saved = self.run.open_checkpoint(state)
        sums = saved.record("sums")
        for name, modules in (
            ("generators", self.generators), ("averages", self._averages), ("discriminators", self.discriminators),
        ):  # fmt: skip
            part = saved.part(name)
            part.only(list(modules))
            for direction, module in modules.items():
                part.fill(direction, module)
        shape = (1, 6 if self.options.paired else 3, self.options.crop, self.options.crop)
        for direction, pool in self._pools.items():
            pool.images = saved.part("pools").tensors(direction, pool.size, shape)
        for solver, moments in zip(
            self._solvers, saved.parts("solvers", len(self._solvers)), strict=True
        ):
            load_adam_moments(solver, moments)
        self.run.load(saved)
        self._sums = sums

    def seconds_a_step(self) -> float:
        """Estimates the time per step by timing forward and backward passes of copies of the generators."""
        image = torch.zeros(
            self.options.batch, 3, self.options.crop, self.options.crop, device=self.device
        )
        generators = [copy.deepcopy(g) for g in self.generators.values()]
        began = 0.0
        for _ in range(2):
            began = time.perf_counter()
            for generator in generators:
                generator(image).square().mean().backward()
        passes = 1 if self.options.paired else 2 + (self.options.identity_weight > 0)
        return passes * (time.perf_counter() - began) * 1.15


def _shape(options: TranslateOptions) -> GeneratorShape:
    if options.network == "unet" and options.depth < LEAST_HALVINGS:
        raise UsageError(
            f"--blocks must be at least {LEAST_HALVINGS} with a unet; got {options.depth}."
        )
    small = options.network == "small"
    return GeneratorShape(
        kind="unet" if options.network == "unet" else "resnet",
        channels=options.width,
        blocks=options.depth,
        norm="batch" if options.network == "unet" and options.paired else "instance",
        dropout=options.network == "unet",
        resized=small,
        skip=small,
    )
