"""Frozen dataclasses as JSON with their arrays beside it. It knows no meaning and writes no file.

What is read is given by the type that is asked for, down to the last field: a file names no class.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Literal, get_args, get_origin

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from napari_sem4d.model import HeightSeries, InputError

_SMALL = 64  # numbers that stand in the JSON: an array of its own takes three files
_MOST_NUMBERS = 2**20


class RecordWriter:
    """Makes JSON of a record.

    Parameters
    ----------
    put : callable
        ``put(name, array)`` keeps an array and returns its place.
    put_series : callable
        Returns what stands for a series of maps.
    """

    def __init__(self, put: Callable[[str, Any], str], put_series: Callable[[HeightSeries], Any]) -> None:
        self._put = put
        self._put_series = put_series

    def write(self, value: Any, name: str = "array") -> Any:
        """Return a record in types that JSON knows; arrays are called ``name``, or as the field that they are in."""
        if isinstance(value, HeightSeries):
            return self._put_series(value)
        if isinstance(value, np.ndarray):
            return self._array(value, name)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json")
        if is_dataclass(value):
            return {f.name: self.write(getattr(value, f.name), f.name) for f in fields(value) if f.init}
        if isinstance(value, Mapping):
            return {str(key): self.write(of, name) for key, of in value.items()}
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, list | tuple):
            return [self.write(of, name) for of in value]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"{type(value).__name__} is nothing that a session keeps")

    def _array(self, array: NDArray[Any], name: str) -> Any:
        if array.size <= _SMALL or not array.ndim:
            return {"dtype": array.dtype.name, "shape": list(array.shape), "values": array.ravel().tolist()}
        return {"at": self._put(name, array)}


class RecordReader:
    """Makes a record of JSON.

    Parameters
    ----------
    get : callable
        Returns the array at a place.
    get_series : callable
        Returns the series of maps that something stands for.
    names : mapping
        Types that modules name only for those who check types.
    """

    def __init__(
        self,
        get: Callable[[str], NDArray[Any]],
        get_series: Callable[[Any], HeightSeries],
        names: Mapping[str, Any] | None = None,
    ) -> None:
        self._get = get
        self._get_series = get_series
        self._names = dict(names or {})

    def read(self, kind: Any, plain: Any) -> Any:
        """Return a record of a type.

        Raises
        ------
        InputError
            If it is something else.
        """
        if kind is HeightSeries:
            return self._get_series(plain)
        origin, inner = get_origin(kind), get_args(kind)
        if origin is np.ndarray:
            return self._array(inner, plain)
        if origin is Literal:
            return _one_of(inner, plain)
        if origin in (typing.Union, types.UnionType):
            return self._choice(inner, plain)
        if origin is tuple:
            return self._tuple(inner, plain)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            key, value = inner
            return {key(name): self.read(value, of) for name, of in _expect(plain, dict).items()}
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return [self.read(inner[0], of) for of in _expect(plain, list)]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return _model(kind, plain)
        if is_dataclass(kind):
            return self._dataclass(kind, _expect(plain, dict))
        return _scalar(kind, plain)

    def _dataclass(self, kind: Any, plain: Mapping[str, Any]) -> Any:
        hints = typing.get_type_hints(kind, localns=self._names)
        wanted = {f.name for f in fields(kind) if f.init}
        if set(plain) != wanted:
            raise InputError(f"{kind.__name__} has other fields: {', '.join(sorted(set(plain) ^ wanted))[:200]}")
        return kind(**{name: self.read(hints[name], of) for name, of in plain.items()})

    def _choice(self, kinds: Sequence[Any], plain: Any) -> Any:
        if plain is None and type(None) in kinds:
            return None
        problem = InputError("it is empty")
        for kind in kinds:
            if kind is not type(None):
                try:
                    return self.read(kind, plain)
                except InputError as error:
                    problem = error
        raise problem

    def _tuple(self, kinds: Sequence[Any], plain: Any) -> tuple[Any, ...]:
        found = _expect(plain, list)
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            return tuple(self.read(kinds[0], of) for of in found)
        if len(found) != len(kinds):
            raise InputError(f"{len(found)} values in place of {len(kinds)}")
        return tuple(self.read(kind, of) for kind, of in zip(kinds, found, strict=True))

    def _array(self, inner: Sequence[Any], plain: Any) -> NDArray[Any]:
        found = _expect(plain, dict)
        if "at" in found:
            array = self._get(_expect(found["at"], str))
        else:
            array = _small_array(found)
        number = get_args(inner[1])[0]
        if not (number is Any or isinstance(number, typing.TypeVar) or np.issubdtype(array.dtype, number)):
            raise InputError(f"numbers of the kind {array.dtype} are not what belongs there")
        return array


def _small_array(plain: Mapping[str, Any]) -> NDArray[Any]:
    shape, values = _expect(plain.get("shape"), list), _expect(plain.get("values"), list)
    if any(not isinstance(side, int) or side < 0 for side in shape) or math.prod(shape) != len(values):
        raise InputError("an array has another shape than it says")
    if len(values) > _MOST_NUMBERS or any(not isinstance(v, int | float) for v in values):
        raise InputError("an array holds something else than numbers")
    try:
        dtype = np.dtype(str(plain.get("dtype")))
        if dtype.kind not in "biuf":
            raise TypeError(dtype)
        return np.array(values, dtype).reshape(shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"an array is damaged: {error}") from error


def _expect(plain: Any, kind: type) -> Any:
    if not isinstance(plain, kind):
        raise InputError(f"{type(plain).__name__} in place of {kind.__name__}")
    return plain


def _one_of(values: Sequence[Any], plain: Any) -> Any:
    if plain not in values:
        raise InputError(f"{plain!r} is none of {', '.join(map(str, values))}")
    return plain


def _model(kind: type[BaseModel], plain: Any) -> BaseModel:
    try:
        return kind.model_validate(plain)
    except ValidationError as error:
        raise InputError(f"{kind.__name__} is damaged: {error}"[:400]) from error


def _scalar(kind: Any, plain: Any) -> Any:
    if kind is datetime:
        try:
            return datetime.fromisoformat(_expect(plain, str))
        except ValueError as error:
            raise InputError(f"{plain!r} is no time") from error
    if kind is float and isinstance(plain, int | float) and not isinstance(plain, bool):
        return float(plain)
    if kind not in (bool, int, str) or type(plain) is not kind:
        raise InputError(f"{plain!r} is not of the kind that belongs there")
    return plain
