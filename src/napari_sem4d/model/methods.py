"""The methods of reconstruction in words: which there are and when to use which. They are carried out elsewhere.

Window, command line and documents take their words from here; ``reconstruction.reconstruct.METHODS`` says which of them
this version has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MethodWords:
    """What a user should know before choosing a method.

    Attributes
    ----------
    label : str
    use : str
        One sentence on when to use it.
    converges : bool
        Whether it goes step by step to the surface that re-creates the images, so that it can be watched and ended
        early.
    """

    label: str
    use: str
    converges: bool


METHOD_WORDS: Mapping[str, MethodWords] = {
    "photometric": MethodWords(
        "Photometric",
        "Quick look in a fraction of a second: true where features are larger than the exit radius of the electrons.",
        converges=False,
    ),
    "analytic": MethodWords(
        "Analytic model",
        "Some seconds: also undoes the blur of the exit radius and knows cast shadows, for fine or steep relief.",
        converges=True,
    ),
    "vift": MethodWords(
        "Vision Field Transformer",
        "Some ten seconds and the most accurate: also knows the finite electron range, bright edges and re-entry.",
        converges=True,
    ),
    "vift_light": MethodWords(
        "Vision Field Transformer, light",
        "The same with a small network in less time: for series and small machines.",
        converges=True,
    ),
}


def method_help() -> str:
    """Return all methods with their sentences, one after the other."""
    return " ".join(f"{name}: {words.use}" for name, words in METHOD_WORDS.items())
