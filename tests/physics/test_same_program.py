"""What two installations have in common: sources, tables and weights, and nothing that comes and goes."""

from __future__ import annotations

import shutil
from pathlib import Path

import napari_sem4d
from napari_sem4d.physics.same_program import fingerprint_of, program_fingerprint

PACKAGE = Path(napari_sem4d.__file__).parent


def test_a_copy_is_the_same_program_and_one_changed_byte_makes_another(tmp_path: Path) -> None:
    copy = tmp_path / "napari_sem4d"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert fingerprint_of(copy) == program_fingerprint() == fingerprint_of(PACKAGE)
    (copy / "sample_data").mkdir(exist_ok=True)
    (copy / "sample_data" / "more.npz").write_bytes(b"shipped with a wheel")
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "x.pyc").write_bytes(b"compiled here")
    assert fingerprint_of(copy) == program_fingerprint()
    for name in ("model/setup.py", "physics/vift/vift.safetensors", "physics/emission_table.npz"):
        path = copy / name
        as_it_was = path.read_bytes()
        path.write_bytes(as_it_was[:-1] + bytes([as_it_was[-1] ^ 1]))
        assert fingerprint_of(copy) != program_fingerprint(), name
        path.write_bytes(as_it_was)
    (copy / "model" / "setup.py").rename(copy / "model" / "setups.py")
    assert fingerprint_of(copy) != program_fingerprint()
