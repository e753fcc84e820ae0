"""Samples to look at while a model learns."""

from collections.abc import Sequence

from groundup.core.device import Compute
from groundup.generate.config import SamplingConfig
from groundup.generate.engine import Engine
from groundup.model.language_model import LanguageModel
from groundup.tokenizer.tokenizer import Tokenizer

SAMPLE_TOKENS = 120


def sample_text(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    compute: Compute,
    seed: int,
    max_new_tokens: int = SAMPLE_TOKENS,
) -> dict[str, str]:
    """`prompt` as text without special tokens, and the `text` that the model puts behind it.

    Touches no random state but its own. Raises UserError if the prompt fills the model's context.
    """
    config = SamplingConfig(seed=seed, max_new_tokens=max_new_tokens)
    (completion,) = Engine(model, tokenizer, compute).complete([prompt], config)
    return {"prompt": tokenizer.decode(prompt, skip_special=True), "text": completion.text}
