"""The package for Lambda's two processors: the same bytecode, with the libraries' compiled parts exchanged.

What is built here is tried here, on this machine's processor. Python's bytecode is the same on every one, so
the package for the other one differs in the files that a compiler made, and in nothing else; these come from
the wheels of the very same releases.
"""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

X86_64: Final = "x86_64"
ARM64: Final = "arm64"
USUAL: Final = ARM64
"""What a new stage gets: AWS asks a fifth less for it."""

MACHINE: Final = {X86_64: "x86_64", ARM64: "aarch64"}
"""What wheels call the processor."""
_ELF_MACHINE: Final = {62: X86_64, 183: ARM64}
"""The field e_machine of a compiled file (System V ABI, ELF header)."""


def exchanged(tree: Path, wheels: Path, copy: Path) -> Path:
    """A copy of the package `tree` for ARM64, with the compiled parts that the `wheels` have for it.

    Raises ValueError that names what was compiled for another processor and has no counterpart.
    """
    shutil.copytree(tree, copy)
    for library in copy.glob("*.libs"):
        shutil.rmtree(library)
    for wheel in sorted(wheels.glob(f"*{MACHINE[ARM64]}.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                _put(archive, name, copy, tree)
    if left := sorted(
        str(path.relative_to(copy)) for path in copy.rglob("*") if compiled_for(path) == X86_64
    ):
        raise ValueError(f"compiled for {X86_64} only: {', '.join(left)}")
    return copy


def compiled_for(path: Path) -> str | None:
    """The architecture that a file was compiled for; None for one that no compiler made."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(20)
    return _ELF_MACHINE.get(int.from_bytes(head[18:20], "little")) if head[:4] == b"\x7fELF" else None


def _put(archive: zipfile.ZipFile, name: str, copy: Path, tree: Path) -> None:
    """Put a file of a wheel in the place of the one that was compiled for the other processor."""
    library = name.partition("/")[0]
    counterpart = name.replace(MACHINE[ARM64], MACHINE[X86_64])
    belongs = library.endswith(".libs") and (tree / library).exists()
    if not belongs and not (name.endswith((".so", ".dist-info/WHEEL")) and (tree / counterpart).exists()):
        return
    (copy / counterpart).unlink(missing_ok=True)
    (copy / name).parent.mkdir(parents=True, exist_ok=True)
    (copy / name).write_bytes(archive.read(name))
