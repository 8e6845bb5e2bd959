"""The guide: its links lead somewhere, its pictures are used and small, its notebook runs, what it lists exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md"])
MOST_BYTES = 8_000_000


def links_of(page: Path) -> list[str]:
    """Links and pictures of a page to files, without their anchors."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [link.partition("#")[0] for link in found if "://" not in link and not link.startswith("#")]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    missing = [link for link in links_of(page) if not (page.parent / link).exists()]
    assert missing == []


def test_every_page_is_in_the_index_and_the_readme_leads_to_it() -> None:
    index = set(links_of(DOCS / "README.md"))
    pages = {page.name for page in (*DOCS.glob("*.md"), *DOCS.glob("*.ipynb"))} - {"README.md"}
    assert pages <= index
    assert "docs/README.md" in links_of(ROOT / "README.md")


def test_every_picture_is_used_and_all_of_them_are_small() -> None:
    pictures = {*(DOCS / "pictures").glob("*.png"), *(DOCS / "figures").glob("*.png")}
    used = {(page.parent / link).resolve() for page in PAGES for link in links_of(page)}
    # in the light theme they are there to be looked at when a panel changes
    unused = [p.name for p in pictures if p.resolve() not in used and not p.stem.endswith("_light")]
    assert sorted(unused) == []
    assert sum(p.stat().st_size for p in pictures) < MOST_BYTES


def test_commands_and_benchmarks_that_the_guide_names_exist() -> None:
    from benchmarks.__main__ import BENCHMARKS

    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"--only (\w+)", text)) - {"NAME"}
    assert named <= set(BENCHMARKS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`make (\w+)`", text)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_keys_of_the_guide_are_those_of_the_program() -> None:
    pytest.importorskip("napari")
    from napari_sem4d.viewer.shortcuts import SHORTCUTS

    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", (DOCS / "window.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [(s.keys, s.words) for s in SHORTCUTS.values()] == rows[: len(SHORTCUTS)]


def test_the_notebook_runs_and_holds_no_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((DOCS / "scripting.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, cell in enumerate(cells, 1):
        exec(compile("".join(cell["source"]), f"scripting.ipynb, cell {number}", "exec"), names)
    assert {file.name for file in tmp_path.iterdir()} >= {"height.npz", "height.tif", "report.html"}
    assert 180 < names["step"] < 300  # type: ignore[operator]  # 242 nm
