"""The only places that read tensors from files: safetensors, and state dicts saved by torch."""

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
"""Of the JSON before the tensors of a safetensors file, and of the pickle in a torch archive."""

MOST_TENSORS = 10_000
DTYPES = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool,
)  # fmt: skip
ZIP_START = b"PK\x03\x04"


@dataclass(frozen=True)
class Kind:
    """What a file should hold, for the sentence that refuses it.

    Attributes:
        noun: With its article: ``"a look"``.
        remedy: What to do, as an imperative.
        error: Class of the error.
    """

    noun: str
    remedy: str
    error: type[ImpastoError] = WeightsError

    def refusal(self, source: Path | str, reason: str) -> ImpastoError:
        """The error for a file that cannot be used, to be raised by the caller."""
        return self.error(
            f"{source} cannot be read safely as {self.noun} ({reason}); {self.remedy}."
        )


def read_safetensors(path: Path, kind: Kind) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads a safetensors file.

    Args:
        path: A file that exists.
        kind: What it should hold.

    Returns:
        The tensors by name, all finite, and the texts of the header's metadata.

    Raises:
        ImpastoError: Of the kind's class: the file is no regular file, too large, damaged, has a header that does not
            fit it, or holds a tensor of another dtype or one that is not finite.
    """
    size = _file_size(path, kind)
    try:
        with path.open("rb") as stream:
            announced = int.from_bytes(stream.read(8), "little")
        if announced > min(MOST_HEADER_BYTES, size - 8):
            raise kind.refusal(path, "its header is longer than the file or 4 MiB")
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            names = list(file.keys())
            if len(names) > MOST_TENSORS:
                raise kind.refusal(path, f"it holds more than {MOST_TENSORS} tensors")
            # Copies lie on boundaries that vector instructions need, and stay when the file changes.
            tensors = {name: file.get_tensor(name).clone() for name in names}
    except ImpastoError:
        raise
    except Exception as error:  # the reader lets damaged files raise anything
        raise kind.refusal(path, "it is damaged, or not in the safetensors format") from error
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
    """A copy of a tensor that is a part of another's storage, which safetensors refuses."""
    return value if value.untyped_storage().nbytes() == value.nbytes else value.clone()


def read_state(path: Path, kind: Kind) -> dict[str, Tensor]:
    """Reads tensors by name from safetensors, or from a state dict saved by torch; no code in the file is run.

    A dict under ``state_dict`` and the prefix ``module.`` are unwrapped.

    Args:
        path: A file that exists; ``.safetensors``, or any other ending for torch.
        kind: What it should hold.

    Returns:
        Finite tensors of their own memory; floating-point ones in float32.

    Raises:
        ImpastoError: Of the kind's class: the file is damaged, too large, holds anything else than tensors by name, or
            tensors that are larger than the file or not finite.
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
            # Mapped storages are slices with checked bounds; storages that are read trust the sizes in the pickle.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except ImpastoError:
        raise
    except Exception as error:  # torch's reader lets damaged files raise anything
        raise kind.refusal(path, "it is damaged, or holds more than tensors") from error


def _check_archive(path: Path, kind: Kind) -> bool:
    """Whether a file is a zip archive as torch writes it; compressed entries could be of any size."""
    with path.open("rb") as stream:
        if stream.read(4) != ZIP_START:
            return False
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except BadZipFile as error:
        raise kind.refusal(path, "it is damaged or cut short") from error
    if any(entry.compress_type != ZIP_STORED for entry in entries):
        raise kind.refusal(path, "its entries are compressed, which torch never does")
    pickles = (entry for entry in entries if entry.filename.endswith("/data.pkl"))
    if any(entry.file_size > MOST_HEADER_BYTES for entry in pickles):
        raise kind.refusal(path, "it lists more than a state dict")
    return True


def read_file(path: Path, kind: Kind, most_bytes: int) -> bytes:
    """Reads a whole file of bounded size.

    Raises:
        ImpastoError: Of the kind's class: it is no regular file, cannot be read, or is too large.
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
    """How many numbers an entry holds, which is at least 1."""
    if type(value) not in (Tensor, nn.Parameter):
        raise kind.refusal(path, f"its entry {name[:80]!r} is not a tensor")
    return max(1, value.numel())  # type: ignore[attr-defined]


def _check_tensor(path: Path, kind: Kind, name: str, value: Tensor) -> None:
    plain = value.layout == torch.strided and value.device.type == "cpu"
    if value.dtype not in DTYPES or not plain:
        raise kind.refusal(path, f"its tensor {name[:80]!r} is of a type that no network here has")
    if not all_finite(value):
        raise kind.refusal(path, f"its tensor {name[:80]!r} holds values that are not finite")
