"""Pictures one after the other as a .gif or .mp4 file. It draws none."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_sem4d.io.atomic import whole_file
from napari_sem4d.model import InputError

FORMATS = (".mp4", ".gif")
_GIF_COLORS = 128

Pixels: TypeAlias = NDArray[np.uint8]  # Python 3.11


def write_moving_pictures(pictures: Iterator[Pixels], target: Path, frames_per_s: float) -> None:
    """Write pictures (y, x, 3), all of the same even size, as the ending of the file says.

    Raises
    ------
    InputError
        If the writer of .mp4 is not installed, or the file cannot be written; an older file stays then.
    """
    if target.suffix.lower() == ".gif":
        _write_gif(pictures, target, frames_per_s)
    else:
        _write_mp4(pictures, target, frames_per_s)


def _write_gif(pictures: Iterator[Pixels], target: Path, frames_per_s: float) -> None:
    # One table of colours, those of the colour bar, and no dithering: a colour means one height in every frame.
    first = Image.fromarray(next(pictures)).quantize(_GIF_COLORS, dither=Image.Dither.NONE)
    others = [Image.fromarray(p).quantize(palette=first, dither=Image.Dither.NONE) for p in pictures]
    buffer = io.BytesIO()
    duration = round(1000.0 / frames_per_s)
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=duration, loop=0, optimize=False)
    with whole_file(target) as file:
        file.write(buffer.getvalue())


def _write_mp4(pictures: Iterator[Pixels], target: Path, frames_per_s: float) -> None:
    try:
        writer = importlib.import_module("imageio_ffmpeg")
    except ImportError as error:
        raise InputError(
            f"{target.name}: the writer of .mp4 is not installed; install napari-sem4d[movie], or save as .gif"
        ) from error
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.part.mp4")
    try:
        sink: Any = None
        for picture in pictures:
            if sink is None:
                size = picture.shape[1], picture.shape[0]
                sink = writer.write_frames(str(temporary), size, fps=frames_per_s, quality=8, macro_block_size=2)
                sink.send(None)
            sink.send(picture)
        sink.close()
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}; choose another folder") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
