"""The layers of the package: who may import whom, and what importing the package may load."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "napari_sem4d"

# From the bottom up: a layer imports itself and those before it.
LAYERS = (
    "model",
    "io",
    "physics",
    "registration",
    "reconstruction",
    "metrology",
    "dynamics",
    "session",
    "report",
    "viewer",
    "widgets",
    "cli",
)
# Third-party packages that only some layers may import; all others are free for every layer.
QT = ("qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "superqt", "magicgui", "pyqtgraph")
ONLY_IN = {
    "napari": {"viewer"},
    "vispy": {"viewer"},
    **{name: {"viewer", "widgets"} for name in QT},
    "typer": {"cli"},
    "rich": {"cli"},
    "tifffile": {"io"},
    "PIL": {"io"},
    "zarr": {"io"},
    **{name: {"report"} for name in ("matplotlib", "jinja2", "reportlab")},
}
# Declared but imported by nobody here, with the reason.
USED_INDIRECTLY = {"imagecodecs": "tifffile loads it for compressed files"}


@dataclass(frozen=True)
class Import:
    """One import statement: the file it stands in, its line, the module it names."""

    file: Path
    line: int
    module: str

    @property
    def layer(self) -> str:
        """Layer of the importing file; its own name for the modules at the top of the package."""
        return self.file.relative_to(PACKAGE).parts[0].removesuffix(".py")

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports_of(file: Path, text: str | None = None) -> Iterator[Import]:
    """Yield every import of a file, also those in functions; a relative one by its full name."""
    tree = ast.parse(file.read_text(encoding="utf-8") if text is None else text)
    package = ("napari_sem4d", *file.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            if module == "napari_sem4d":  # `from napari_sem4d import io` names a layer
                yield from (Import(file, node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield Import(file, node.lineno, module)


def type_checking_lines(file: Path) -> set[int]:
    """Lines under ``if TYPE_CHECKING``: read by mypy, never run."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            lines.update(range(node.body[0].lineno, (node.body[-1].end_lineno or 0) + 1))
    return lines


def broken_rule(statement: Import) -> str | None:
    """Return the rule that an import breaks, None when it is fine."""
    top, _, rest = statement.module.partition(".")
    if top == "napari_sem4d":
        target = rest.partition(".")[0]
        if statement.layer in LAYERS and target in LAYERS and LAYERS.index(target) > LAYERS.index(statement.layer):
            return f"{statement}: {statement.layer} lies below {target}"
        return None
    allowed = ONLY_IN.get(top)
    if allowed is not None and statement.layer not in allowed:
        return f"{statement}: only {' and '.join(sorted(allowed))} may"
    return None


def test_every_part_of_the_package_is_a_known_layer() -> None:
    parts = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in sources()}
    assert parts <= {*LAYERS, "__init__", "__main__"}


def test_imports_go_downwards_only() -> None:
    broken = [rule for file in sources() for statement in imports_of(file) if (rule := broken_rule(statement))]
    assert broken == []


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("model/new.py", "from napari_sem4d.io.sem import read_sem"),
        ("io/new.py", "def f():\n    from napari_sem4d import reconstruction"),
        ("physics/new.py", "import napari_sem4d.session.session"),
        ("reconstruction/new.py", "from ..dynamics import series"),
        ("session/new.py", "import napari"),
        ("session/new.py", "from qtpy.QtCore import QObject"),
        ("widgets/new.py", "def f():\n    import napari.layers"),
        ("reconstruction/new.py", "import tifffile"),
        ("dynamics/new.py", "from rich.progress import track"),
    ],
)
def test_the_walk_sees_a_forbidden_import(place: str, code: str) -> None:
    statements = list(imports_of(PACKAGE / place, code))
    assert [broken_rule(s) for s in statements] != [None] * len(statements)


def test_the_walk_lets_a_downward_import_pass() -> None:
    code = "import numpy\nfrom napari_sem4d.model import Setup\nfrom ..io import sem\nfrom . import other"
    assert [broken_rule(s) for s in imports_of(PACKAGE / "session" / "new.py", code)] == [None] * 4


def test_every_module_says_what_belongs_in_it() -> None:
    silent = [str(f.relative_to(ROOT)) for f in sources() if not ast.get_docstring(ast.parse(f.read_text("utf-8")))]
    assert silent == []


def test_declared_dependencies_are_the_imported_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    extras = project["optional-dependencies"]
    needs = [text for name in extras if name not in ("all", "dev") for text in extras[name]]
    optional = {canonicalize_name(Requirement(text).name) for text in needs}
    distributions = packages_distributions()
    imported: set[str] = set()
    for file in sources():
        skipped = type_checking_lines(file)
        for statement in imports_of(file):
            top = statement.module.partition(".")[0]
            if statement.line in skipped or top in sys.stdlib_module_names or top == "napari_sem4d":
                continue
            imported.add(canonicalize_name(distributions.get(top, [top])[0]))
    assert imported - declared - optional == set(), "imported, not declared in pyproject.toml"
    assert declared - imported - set(USED_INDIRECTLY) == set(), "declared in pyproject.toml, imported nowhere"


def modules_after(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter holds after running ``code``."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    return {name.partition(".")[0] for name in run.stdout.split()}


def test_importing_the_package_loads_neither_torch_nor_qt_nor_napari() -> None:
    loaded = modules_after("import napari_sem4d; dir(napari_sem4d)")
    assert "napari_sem4d" in loaded
    assert loaded.isdisjoint({"torch", "napari", "vispy", *QT})


def test_the_science_layers_work_without_qt_and_napari() -> None:
    loaded = modules_after("import napari_sem4d as s4\nfor name in s4.__all__: getattr(s4, name)")
    assert loaded.isdisjoint({"napari", "vispy", *QT})
