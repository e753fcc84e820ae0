"""Conversations as tokens, and which of them a model is trained to say (Law 9)."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from groundup.tokenizer.messages import Message
from groundup.tokenizer.template import ChatTemplate
from groundup.tokenizer.tokenizer import Tokenizer


def encode_conversation(
    tokenizer: Tokenizer, messages: Sequence[Message], *, add_generation_prompt: bool = False
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Ids (T) of a conversation, and for each whether the model is trained to say it (T).

    Trained: what the assistant says and its end-of-turn token, not the line break behind that. A message is
    encoded apart from what stands around it, so the first turns are always a prefix of the whole.
    """
    ids: list[int] = []
    trained: list[bool] = []
    template = _compiled(tokenizer.chat_template)
    for segment in template.render(messages, add_generation_prompt=add_generation_prompt):
        piece = tokenizer.encode(segment.text, allow_special=not segment.is_content)
        ids.extend(piece)
        trained.extend([segment.trained] * len(piece))
    return np.array(ids, dtype=np.int32), np.array(trained, dtype=np.bool_)


@lru_cache(maxsize=8)
def _compiled(source: str) -> ChatTemplate:
    return ChatTemplate(source)
