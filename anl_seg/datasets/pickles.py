"""Safe reader of pickles of NumPy arrays, which runs no code in them."""

from __future__ import annotations

import codecs
import io
import pickle
from typing import Any

import numpy as np

#: Functions that the pickle of an array calls, with their names in NumPy 1 and 2.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 (as in the base class)
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, but data contain only arrays"
            ) from None


def loads(content: bytes) -> Any:  # noqa: ANN401 (whatever was pickled)
    """Unpickle lists, dictionaries, numbers, texts and arrays, also from Python 2.

    Raises:
        ValueError: If the pickle is damaged or asks for anything else, which is then not run.
    """
    try:
        return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(str(error) or type(error).__name__) from error
