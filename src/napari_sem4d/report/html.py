"""A report as one HTML file: pictures inside, every text escaped, nothing fetched from anywhere. No drawing."""

from __future__ import annotations

import base64
from collections.abc import Callable

from jinja2 import Environment, PackageLoader

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.report.content import Report


def as_html(report: Report, should_stop: Callable[[], bool] | None = None) -> bytes:
    """Return the report as UTF-8.

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    stop_if_asked(should_stop)
    # always on: by the file's ending jinja2 would leave a template named .j2 alone
    environment = Environment(
        loader=PackageLoader("napari_sem4d.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("report.html.j2").render(report=report).encode("utf-8", "replace")
