"""Conversations as tokens, and which of them a model is trained to say (Law 9)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from groundup.tokenizer.base import BaseTokenizer
from groundup.tokenizer.messages import Message


def encode_conversation(
    tokenizer: BaseTokenizer, messages: Sequence[Message], *, add_generation_prompt: bool = False
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Ids (T) of a conversation, and for each whether the model is trained to say it (T).

    Trained: what the assistant says and its end-of-turn token, not the line break behind that. Raises UserError
    if the chat template does not mark that, unless `add_generation_prompt` says that it is to be answered, not
    trained on.
    """
    if not add_generation_prompt:
        tokenizer.template.require_markers()
    segments = tokenizer.template.render(messages, add_generation_prompt=add_generation_prompt)
    ids, trained = tokenizer.encode_segments(segments)
    return np.array(ids, dtype=np.int32), np.array(trained, dtype=np.bool_)
