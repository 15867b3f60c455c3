"""Typed access to the contents of a file: each field is validated when read, and errors name the first invalid one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.weights.files import Kind
from impasto.weights.numbers import all_finite

__all__ = ["Fields"]

SHOWN = 40
"""Number of characters of an invalid value that errors quote."""


class Fields:
    """An untrusted mapping from a file.

    Every method raises the error class of ``kind`` if a field is missing or invalid.

    Args:
        values: The mapping, with string keys.
        source: Name of the file.
        kind: Expected kind of file.
        device: Device that tensors are moved to.
        prefix: Dotted name of this part, for errors.
    """

    def __init__(
        self,
        values: object,
        source: Path | str,
        kind: Kind,
        *,
        device: torch.device | str = "cpu",
        prefix: str = "",
    ) -> None:
        self._source, self._kind, self._device, self._prefix = source, kind, device, prefix
        if not isinstance(values, Mapping):
            raise self.refusal("", "a mapping", values)
        self._values: Mapping[Any, Any] = values

    def refusal(self, name: str, wanted: str, got: object) -> ImpastoError:
        """Returns the error for an invalid field, to be raised by the caller."""
        shown = _shown(got)
        dotted = self._dotted(name) or "header"
        return self._kind.refusal(self._source, f"its field {dotted} is {shown}, not {wanted}")

    def _dotted(self, name: object) -> str:
        return f"{self._prefix}.{name}".strip(".")

    def _value(self, name: object, wanted: str) -> Any:
        if name not in self._values:
            reason = f"its field {self._dotted(name)} is missing; expected {wanted}"
            raise self._kind.refusal(self._source, reason)
        return self._values[name]

    def names(self) -> list[str]:
        """Returns the names of all fields."""
        if not all(isinstance(name, str) for name in self._values):
            raise self.refusal("", "a mapping with string keys", self._values)
        return list(self._values)

    def only(self, allowed: Sequence[str]) -> None:
        """Raises an error if there is a field that is not allowed."""
        for name in self.names():
            if name not in allowed:
                raise self.refusal(name, "a field of this version", self._values[name])

    def part(self, name: str) -> Fields:
        """Returns a nested mapping."""
        value = self._value(name, "a mapping")
        return Fields(
            value, self._source, self._kind, device=self._device, prefix=self._dotted(name)
        )

    def parts(self, name: str, count: int) -> Iterator[Fields]:
        """Yields the mappings in a list of length ``count``."""
        wanted = f"a list of {count}"
        values = self._value(name, wanted)
        if not isinstance(values, (list, tuple)) or len(values) != count:
            raise self.refusal(name, wanted, values)
        for number, value in enumerate(values):
            prefix = self._dotted(f"{name}.{number}")
            yield Fields(value, self._source, self._kind, device=self._device, prefix=prefix)

    def mapping(self, name: str) -> dict[str, Any]:
        """Returns a nested mapping with its values unchecked."""
        return self.part(name).values()

    def values(self) -> dict[str, Any]:
        """Returns all values, unchecked, by name."""
        return {name: self._values[name] for name in self.names()}

    def text(self, name: str, allowed: Sequence[str] = ()) -> str:
        """Returns a string, which must be one of ``allowed`` if that is not empty."""
        wanted = " or ".join(map(repr, allowed)) if allowed else "a string"
        value = self._value(name, wanted)
        if not isinstance(value, str) or (allowed and value not in allowed):
            raise self.refusal(name, wanted, value)
        return value

    def flag(self, name: str) -> bool:
        """Returns a boolean."""
        value = self._value(name, "true or false")
        if not isinstance(value, bool):
            raise self.refusal(name, "true or false", value)
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        """Returns an integer from ``low`` to ``high``."""
        wanted = f"an integer from {low} to {high}"
        value = self._value(name, wanted)
        if not _is_integer(value) or not low <= value <= high:
            raise self.refusal(name, wanted, value)
        return int(value)

    def optional_integer(self, name: str, low: int, high: int) -> int | None:
        """Returns an integer from ``low`` to ``high``, or None."""
        return (
            None
            if self._value(name, "an integer or None") is None
            else self.integer(name, low, high)
        )

    def integers(self, name: str, low: int, high: int, counts: tuple[int, int]) -> tuple[int, ...]:
        """Returns a list of integers from ``low`` to ``high``; ``counts`` is its minimum and maximum length."""
        few, many = counts
        size = str(few) if few == many else f"{few} to {many}"
        wanted = f"a list of {size} integers from {low} to {high}"
        value = self._value(name, wanted)
        whole = isinstance(value, (list, tuple)) and few <= len(value) <= many
        if not whole or not all(_is_integer(v) and low <= v <= high for v in value):
            raise self.refusal(name, wanted, value)
        return tuple(value)

    def number(self, name: str, *, low: float = -math.inf, infinite: bool = False) -> float:
        """Returns a number of at least ``low``; positive infinity is allowed only with ``infinite``."""
        wanted = "a finite number" + ("" if low == -math.inf else f" of at least {low:g}")
        value = self._value(name, wanted)
        if not _is_number(value, infinite=infinite) or value < low:
            raise self.refusal(name, wanted, value)
        return value

    def numbers(self, name: str) -> list[float]:
        """Returns a list of finite numbers."""
        value = self._value(name, "a list of finite numbers")
        if not isinstance(value, (list, tuple)) or not all(map(_is_number, value)):
            raise self.refusal(name, "a list of finite numbers", value)
        return list(value)

    def records(self, name: str) -> list[dict[str, float]]:
        """Returns a list of mappings from names to finite numbers."""
        wanted = "a list of mappings from names to finite numbers"
        value = self._value(name, wanted)
        if not isinstance(value, (list, tuple)) or not all(map(_is_record, value)):
            raise self.refusal(name, wanted, value)
        return [dict(row) for row in value]

    def record(self, name: str) -> dict[str, float]:
        """Returns a mapping from names to finite numbers."""
        wanted = "a mapping from names to finite numbers"
        value = self._value(name, wanted)
        if not _is_record(value):
            raise self.refusal(name, wanted, value)
        return dict(value)

    def tensor(
        self,
        name: str,
        shape: Sequence[int] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Returns a finite tensor; any shape is allowed if ``shape`` is None."""
        sized = "" if shape is None else f" of shape {tuple(shape)}"
        wanted = f"a finite {str(dtype).removeprefix('torch.')} tensor{sized}"
        value = self._value(name, wanted)
        if not isinstance(value, Tensor) or value.dtype != dtype:
            raise self.refusal(name, wanted, value)
        if (shape is not None and tuple(value.shape) != tuple(shape)) or not all_finite(value):
            raise self.refusal(name, wanted, value)
        return value.to(self._device)

    def optional_tensor(
        self,
        name: str,
        shape: Sequence[int] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor | None:
        """Returns a finite tensor, or None."""
        if self._value(name, "a tensor or null") is None:
            return None
        return self.tensor(name, shape, dtype)

    def tensors(
        self,
        name: str,
        most: int,
        shape: Sequence[int] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> list[Tensor]:
        """Returns a list of at most ``most`` finite tensors."""
        wanted = f"a list of at most {most} tensors"
        values = self._value(name, wanted)
        if not isinstance(values, (list, tuple)) or len(values) > most:
            raise self.refusal(name, wanted, values)
        numbered = {str(number): value for number, value in enumerate(values)}
        listed = Fields(
            numbered, self._source, self._kind, device=self._device, prefix=self._dotted(name)
        )
        return [listed.tensor(number, shape, dtype) for number in numbered]

    def fill(self, name: str, module: nn.Module) -> None:
        """Copies a state dict into a module whose tensors have the same names, shapes and dtypes."""
        wanted = module.state_dict()
        part = self.part(name)
        part.only(list(wanted))
        found = {key: part.tensor(key, own.shape, own.dtype) for key, own in wanted.items()}
        module.load_state_dict(found)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object, *, infinite: bool = False) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    if isinstance(value, int):
        return abs(value) < 2**63
    return math.isfinite(value) or (infinite and value == math.inf)


def _is_record(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and _is_number(number) for name, number in value.items()
    )


def _shown(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a huge number"
    text = repr(value)[: SHOWN + 1] if isinstance(value, (int, float, str, bool)) else ""
    if len(text) > SHOWN:
        text = text[:SHOWN] + "..."
    return text or {"NoneType": "null"}.get(type(value).__name__, f"a {type(value).__name__}")
