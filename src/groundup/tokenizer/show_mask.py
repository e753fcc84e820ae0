"""What a model is trained on, made visible."""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import numpy.typing as npt
from rich.text import Text

from groundup.tokenizer.tokenizer import Tokenizer

_TRAINED, _CONTEXT = "bold green", "dim"
_OPEN, _CLOSE = "⟦", "⟧"


def mask_text(tokenizer: Tokenizer, ids: npt.NDArray[np.integer], trained: npt.NDArray[np.bool_]) -> Text:
    """Tokens (T) as text for a terminal: what is trained on (T) in color, what is only read dimmed."""
    text = Text()
    for is_trained, piece in _runs(tokenizer, ids, trained):
        text.append(piece, style=_TRAINED if is_trained else _CONTEXT)
    return text


def mask_plain(tokenizer: Tokenizer, ids: npt.NDArray[np.integer], trained: npt.NDArray[np.bool_]) -> str:
    """The same without color: what is trained on stands in ⟦ ⟧."""
    return "".join(
        f"{_OPEN}{piece}{_CLOSE}" if is_trained else piece for is_trained, piece in _runs(tokenizer, ids, trained)
    )


def _runs(
    tokenizer: Tokenizer, ids: npt.NDArray[np.integer], trained: npt.NDArray[np.bool_]
) -> Iterator[tuple[bool, str]]:
    pairs = zip(trained.tolist(), ids.tolist(), strict=True)
    for is_trained, run in groupby(pairs, key=lambda pair: pair[0]):
        yield is_trained, tokenizer.decode(token for _, token in run)
