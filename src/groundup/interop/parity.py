"""Whether a model that was written is the model that was meant: logits and token ids, side by side.

Shapes: R rows, T tokens, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from groundup.core.errors import UserError
from groundup.interop.loaded import Loaded
from groundup.model.language_model import LanguageModel
from groundup.tokenizer.base import BaseTokenizer
from groundup.tokenizer.chat import encode_conversation

# Drift of logits that rounding in another order of sums explains, relative to the largest logit (or absolute, below 1).
TOLERANCE = 1e-4
_ROWS, _TOKENS = 4, 64
_CONVERSATION = (
    {"role": "user", "content": "What is 2 + 2? <|im_end|>"},
    {"role": "assistant", "content": " Four. "},
    {"role": "user", "content": "Et en français ?\n"},
)
PROBES = (
    "The capital of France is Paris, and 3.14159 is not 22/7.",
    "  two spaces,\ttabs\t\tand\n\n\nlines  \r\n at the end   ",
    "def f(x: int) -> list[str]:\n    return [f'{x!r}' for _ in range(10_000)]  # 日本語",
    "ÀÉÎõü ñ ß œ Ω я ж ש ع ह ก 한국어 漢字 ﷽ e\u0301 o\u0308\u0304 \u200d\u200b\ufeff",
    "😀👩‍👩‍👧‍👦🏳️‍🌈 1️⃣ ♥️ €£¥ ½ ① ﬁ ™ … — “quoted” ‘it’s’",
    "don't I'LL we've THEY'RE 'tis 1234567890 1,000,000.00 0x7f -1e-9",
    "<|endoftext|><|im_start|>user<|im_end|></s><s>[INST]<bos><start_of_turn>",
    "\x00\x01\x7f\u0085\u2028\ud7ff\ue000\ufffd\U0010fffd",
)


@dataclass(frozen=True)
class Parity:
    """How near two models are."""

    max_logit_diff: float
    """Largest difference of a logit over the probes."""
    max_logit: float
    """Largest logit among them, by size."""

    @property
    def holds(self) -> bool:
        """Whether no more than rounding lies between them."""
        return self.max_logit_diff <= TOLERANCE * max(1.0, self.max_logit)


def compare_logits(model: LanguageModel, other: LanguageModel, tokenizer: BaseTokenizer) -> Parity:
    """Both on the same rows of probe texts. A difference that is not a number counts as infinite."""
    tokens_RT = probe_tokens(model, tokenizer)
    with torch.inference_mode():
        mine_RTV, theirs_RTV = model(tokens_RT), other(tokens_RT)
    size = min(mine_RTV.shape[-1], theirs_RTV.shape[-1])  # tables may be padded to another multiple
    difference = (mine_RTV[..., :size] - theirs_RTV[..., :size]).abs().nan_to_num(nan=torch.inf).max().item()
    return Parity(difference, mine_RTV.abs().max().item())


def probe_tokens(model: LanguageModel, tokenizer: BaseTokenizer) -> Tensor:
    """[R, T] ids of the probe texts, end to end, within the context of the model."""
    length = min(_TOKENS, model.config.max_seq_len)
    ids = [token for text in PROBES for token in tokenizer.encode(text)]
    while len(ids) < _ROWS * length:
        ids += ids
    return torch.tensor(ids[: _ROWS * length]).view(_ROWS, length)


def require_same_logits(model: LanguageModel, other: LanguageModel, tokenizer: BaseTokenizer, where: str) -> Parity:
    """Raises UserError if what was written `where` computes something else."""
    parity = compare_logits(model, other, tokenizer)
    if not parity.holds:
        raise UserError(
            f"{where} does not compute what the model computes: logits differ by {parity.max_logit_diff:.3g} "
            f"(largest logit {parity.max_logit:.3g}); nothing was kept",
            "this is a mistake in groundup or a damaged disk; please report the model's config",
        )
    return parity


def require_same_ids(tokenizer: BaseTokenizer, written: Loaded, where: str) -> None:
    """Raises UserError naming the first text that the written tokenizer cuts otherwise."""
    for text in PROBES:
        for allow_special in (False, True):
            mine, theirs = (t.encode(text, allow_special=allow_special) for t in (tokenizer, written.tokenizer))
            if mine != theirs:
                raise _drift(repr(text), where, mine, theirs)
    if tokenizer.chat_template and written.tokenizer.chat_template:
        mine, theirs = (_conversation(t) for t in (tokenizer, written.tokenizer))
        if mine != theirs:
            raise _drift("a conversation", where, mine, theirs)


def _conversation(tokenizer: BaseTokenizer) -> list[int]:
    return encode_conversation(tokenizer, _CONVERSATION, add_generation_prompt=True)[0].tolist()


def _drift(what: str, where: str, mine: list[int], theirs: list[int]) -> UserError:
    return UserError(
        f"the tokenizer in {where} cuts {what} into {theirs[:8]}…, the model was trained on {mine[:8]}…; "
        "nothing was kept",
        "export to the other format, or build with a pre-tokenizer that both know (docs/recipe.md)",
    )
