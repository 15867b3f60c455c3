"""The only functions that read tensors from files: safetensors, and state dicts saved by torch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.errors import ImpastoError, WeightsError
from impasto.weights.numbers import all_finite

__all__ = ["Kind", "read_file", "read_safetensors", "read_state", "write_safetensors"]

MOST_FILE_BYTES = 4 << 30
MOST_HEADER_BYTES = 4 << 20
"""Limit for the JSON header of a safetensors file, and for the pickle in a torch archive."""

MOST_TENSORS = 10_000
DTYPES = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool,
)  # fmt: skip
ZIP_START = b"PK\x03\x04"


@dataclass(frozen=True)
class Kind:
    """An expected kind of file, for error messages.

    Attributes:
        noun: Noun with its article: ``"a look"``.
        remedy: What the user should do, as an imperative.
        error: Class of the error.
    """

    noun: str
    remedy: str
    error: type[ImpastoError] = WeightsError

    def refusal(self, source: Path | str, reason: str) -> ImpastoError:
        """Returns the error for an unusable file, to be raised by the caller."""
        return self.error(
            f"{source} cannot be read safely as {self.noun} ({reason}); {self.remedy}."
        )


def read_safetensors(path: Path, kind: Kind) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads a safetensors file.

    Args:
        path: Path of an existing file.
        kind: Expected kind of file.

    Returns:
        The tensors by name, all finite, and the header's metadata strings.

    Raises:
        ImpastoError: The file is not a regular file, is too large or damaged, has an invalid header, or has a
            tensor with an unsupported dtype or non-finite values. The error has the kind's class.
    """
    size = _file_size(path, kind)
    try:
        with path.open("rb") as stream:
            announced = int.from_bytes(stream.read(8), "little")
        if announced > min(MOST_HEADER_BYTES, size - 8):
            raise kind.refusal(path, "its header is longer than the file or than 4 MiB")
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            names = list(file.keys())
            if len(names) > MOST_TENSORS:
                raise kind.refusal(path, f"it holds more than {MOST_TENSORS} tensors")
            # Copies are aligned for vector instructions, and are unaffected by later changes of the file.
            tensors = {name: file.get_tensor(name).clone() for name in names}
    except ImpastoError:
        raise
    except Exception as error:  # damaged files can raise any exception
        raise kind.refusal(path, "it is damaged or not in the safetensors format") from error
    for name, value in tensors.items():
        _check_tensor(path, kind, name, value)
    return tensors, metadata


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Writes a safetensors file; tensors are copied to the CPU and made contiguous.

    Raises:
        OSError: The file cannot be written.
    """
    whole = {
        name: _own_memory(value.detach().cpu().contiguous()) for name, value in tensors.items()
    }
    try:
        save_file(whole, path, dict(metadata))
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _own_memory(value: Tensor) -> Tensor:
    """Copies a tensor that is a view of a larger storage, which safetensors rejects."""
    return value if value.untyped_storage().nbytes() == value.nbytes else value.clone()


def read_state(path: Path, kind: Kind) -> dict[str, Tensor]:
    """Reads tensors by name from a safetensors file or a torch state dict, without executing code from the file.

    A nested dict under ``state_dict`` is unwrapped and the prefix ``module.`` is removed.

    Args:
        path: Path of an existing file: ``.safetensors``, or any other extension for torch.
        kind: Expected kind of file.

    Returns:
        Finite tensors that own their memory; floating-point tensors are converted to float32.

    Raises:
        ImpastoError: The file is damaged or too large, has entries other than tensors, or has tensors that are
            larger than the file or not finite. The error has the kind's class.
    """
    if path.suffix == ".safetensors":
        state: Any = read_safetensors(path, kind)[0]
    else:
        state = _load_torch(path, kind)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not state or len(state) > MOST_TENSORS:
        raise kind.refusal(path, "it does not hold tensors by name")
    left = path.stat().st_size
    found = {}
    for key, value in state.items():
        name = str(key).removeprefix("module.")
        left -= _numbers_of(path, kind, name, value)
        if left < 0:
            raise kind.refusal(path, "its tensors are larger than the file")
        _check_tensor(path, kind, name, value)
        dtype = torch.float32 if value.is_floating_point() else value.dtype
        found[name] = value.detach().to(dtype, copy=True)
    return found


def _load_torch(path: Path, kind: Kind) -> Any:
    _file_size(path, kind)
    try:
        zipped = _check_archive(path, kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # With mmap, storages are bounds-checked slices; otherwise the sizes in the pickle are trusted.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except ImpastoError:
        raise
    except Exception as error:  # damaged files can raise any exception
        raise kind.refusal(path, "it is damaged, or holds objects other than tensors") from error


def _check_archive(path: Path, kind: Kind) -> bool:
    """Whether a file is a zip archive; raises an error if it differs from those that torch writes.

    Compressed entries are rejected because they could expand to any size.
    """
    with path.open("rb") as stream:
        if stream.read(4) != ZIP_START:
            return False
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except BadZipFile as error:
        raise kind.refusal(path, "it is damaged or truncated") from error
    if any(entry.compress_type != ZIP_STORED for entry in entries):
        raise kind.refusal(path, "its entries are compressed, which torch does not support")
    pickles = (entry for entry in entries if entry.filename.endswith("/data.pkl"))
    if any(entry.file_size > MOST_HEADER_BYTES for entry in pickles):
        raise kind.refusal(path, "its index is too large for a state dict")
    return True


def read_file(path: Path, kind: Kind, most_bytes: int) -> bytes:
    """Reads a whole file of limited size.

    Raises:
        ImpastoError: The file is not a regular file, cannot be read, or is too large. The error has the kind's class.
    """
    if _file_size(path, kind) > most_bytes:
        raise kind.refusal(path, f"it is larger than {most_bytes >> 20} MiB")
    with path.open("rb") as stream:
        return stream.read(most_bytes)


def _file_size(path: Path, kind: Kind) -> int:
    try:
        if not path.is_file():
            raise kind.refusal(path, "it is not a regular file")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise kind.refusal(path, error.strerror or "it cannot be opened") from error
    if size > MOST_FILE_BYTES:
        raise kind.refusal(path, f"it is larger than {MOST_FILE_BYTES >> 30} GiB")
    return size


def _numbers_of(path: Path, kind: Kind, name: str, value: object) -> int:
    """Returns the number of values of an entry, counting at least 1."""
    if type(value) not in (Tensor, nn.Parameter):
        raise kind.refusal(path, f"its entry {name[:80]!r} is not a tensor")
    return max(1, value.numel())  # type: ignore[attr-defined]


def _check_tensor(path: Path, kind: Kind, name: str, value: Tensor) -> None:
    plain = value.layout == torch.strided and value.device.type == "cpu"
    if value.dtype not in DTYPES or not plain:
        raise kind.refusal(path, f"its tensor {name[:80]!r} has an unsupported dtype or layout")
    if not all_finite(value):
        raise kind.refusal(path, f"its tensor {name[:80]!r} has values that are not finite")
