"""Keeps two windows from writing into one session folder. Nothing of a session is known here."""

from __future__ import annotations

import json
import os
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from napari_sem4d.model import InputError

NAME = "lock.json"
_SAME_START_S = 2.0
_LONGEST_BYTES = 4096


class SessionInUse(InputError):
    """The session is open in another window; it can be opened as a copy, or taken over.

    Attributes
    ----------
    holder : Holder
    """

    def __init__(self, folder: Path, holder: Holder) -> None:
        super().__init__(
            f"{folder.name} is open in another window ({holder.words}): close it there, or open a copy here."
        )
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    Attributes
    ----------
    host : str
    process : int
    began_s : float
        When the process was started, seconds since 1970.
    token : str
        Of one lock; another one of the same process has another.
    """

    host: str
    process: int
    began_s: float
    token: str

    @classmethod
    def new(cls) -> Holder:
        """Return a lock of this process."""
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time(), uuid.uuid4().hex)

    @property
    def words(self) -> str:
        """Computer and process, for the user."""
        return f"computer {self.host}, process {self.process}"

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended for sure; of another computer nobody knows."""
        if self.host != socket.gethostname():
            return False
        try:
            began_s: float = psutil.Process(self.process).create_time()
            return abs(began_s - self.began_s) > _SAME_START_S
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False


class FolderLock:
    """The right to write into a folder, until :meth:`release`.

    Parameters
    ----------
    folder : Path
    take_over : bool
        Take it also from a process that may be alive.

    Raises
    ------
    SessionInUse
        If somebody else has it.
    OSError
        If the folder cannot be written.
    """

    def __init__(self, folder: Path, *, take_over: bool = False) -> None:
        self._file = folder / NAME
        self._mine = Holder.new()
        while not self._create():
            holder = read_holder(folder)
            if holder is not None and not take_over and not holder.is_dead:
                raise SessionInUse(folder, holder)
            self._set_aside()

    @property
    def is_held(self) -> bool:
        """Whether nobody has taken it over."""
        holder = read_holder(self._file.parent)
        return holder is not None and holder.token == self._mine.token

    def release(self) -> None:
        """Let others write."""
        if self.is_held:
            with suppress(OSError):
                self._file.unlink()

    def _create(self) -> bool:
        # whole before it has its name: who reads it must not find half of it
        content = json.dumps({name: getattr(self._mine, name) for name in Holder.__slots__})
        draft = self._file.with_name(f".{NAME}.{self._mine.token}")
        try:
            draft.write_text(content, encoding="utf-8")
            os.link(draft, self._file)
        except FileExistsError:
            return False
        except (OSError, AttributeError):  # a file system without links
            return self._create_exclusively(content)
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _create_exclusively(self, content: str) -> bool:
        try:
            with self._file.open("x", encoding="utf-8") as file:
                file.write(content)
        except FileExistsError:
            return False
        return True

    def _set_aside(self) -> None:
        # renamed, not deleted: of two that take over at once only one finds the file
        aside = self._file.with_name(f".{NAME}.{uuid.uuid4().hex}.old")
        with suppress(FileNotFoundError):
            os.replace(self._file, aside)
            aside.unlink()


def read_holder(folder: Path) -> Holder | None:
    """Return who holds the lock of a folder, None when nobody does or the file is damaged."""
    file = folder / NAME
    try:
        if file.stat().st_size > _LONGEST_BYTES:
            return None
        found: Any = json.loads(file.read_text(encoding="utf-8"))
        return Holder(str(found["host"]), int(found["process"]), float(found["began_s"]), str(found["token"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
