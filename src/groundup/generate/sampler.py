"""The next token from the logits of a model.

Shapes: B rows, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from groundup.generate.config import SamplingConfig

_NEVER = float("-inf")


def penalize_repetition(logits_BV: Tensor, seen_BV: Tensor, penalty: float) -> Tensor:
    """Make `seen` tokens (bool) less likely: positive logits are divided by the penalty, negative multiplied.

    CTRL (Keskar et al. 2019, section 4.1) divides always, which would favor tokens of negative logits.
    """
    penalized_BV = torch.where(logits_BV > 0, logits_BV / penalty, logits_BV * penalty)
    return torch.where(seen_BV, penalized_BV, logits_BV)


def keep_top_k(logits_BV: Tensor, k: int) -> Tensor:
    """Keep the k largest logits, and any equal to the k-th."""
    least_B1 = logits_BV.topk(min(k, logits_BV.shape[-1]), dim=-1).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < least_B1, _NEVER)


def keep_top_p(logits_BV: Tensor, p: float) -> Tensor:
    """Keep the fewest likeliest tokens whose probabilities add up to at least p (Holtzman et al. 2019)."""
    sorted_BV, order_BV = logits_BV.sort(dim=-1, descending=True, stable=True)
    probs_BV = _precise(sorted_BV).softmax(-1)
    enough_before_BV = probs_BV.cumsum(-1) - probs_BV >= p
    dropped_BV = torch.zeros_like(enough_before_BV).scatter(1, order_BV, enough_before_BV)
    return logits_BV.masked_fill(dropped_BV, _NEVER)


def keep_min_p(logits_BV: Tensor, p: float) -> Tensor:
    """Keep tokens at least p times as likely as the likeliest (Nguyen et al. 2024)."""
    probs_BV = logits_BV.softmax(-1)
    return logits_BV.masked_fill(probs_BV < p * probs_BV.amax(-1, keepdim=True), _NEVER)


def filter_logits(logits_BV: Tensor, config: SamplingConfig) -> Tensor:
    """Temperature (above 0) and the filters, in the order of `SamplingConfig`; what is dropped is -inf."""
    # From the largest down, so that no temperature is small enough to overflow.
    logits_BV = (logits_BV - logits_BV.amax(-1, keepdim=True)) / config.temperature
    if config.top_k:
        logits_BV = keep_top_k(logits_BV, config.top_k)
    if config.top_p < 1:
        logits_BV = keep_top_p(logits_BV, config.top_p)
    if config.min_p > 0:
        logits_BV = keep_min_p(logits_BV, config.min_p)
    return logits_BV


def invert(mass_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """The inverse of the distribution function `mass` at numbers in [0, 1): one id a row, never one without mass."""
    total_B1 = mass_BV[:, -1:]
    target_B1 = uniform_B.to(mass_BV)[:, None] * total_B1
    # Rounding must not reach the total: no token lies beyond it.
    target_B1 = torch.minimum(target_B1, torch.nextafter(total_B1, torch.zeros_like(total_B1)))
    return torch.searchsorted(mass_BV, target_B1, right=True)[:, 0]


def _precise(x: Tensor) -> Tensor:
    # Sums over a whole vocabulary; Apple's GPUs have no float64.
    return x.float() if x.device.type == "mps" else x.double()


class Sampler:
    """Chooses the next token of each row, by a generator of its own: a row does not depend on its neighbors.

    `prompts`: token ids of each row; `seeds`: one for each; `exempt`: ids that repetition does not penalize;
    `banned`: ids that are never chosen.
    """

    def __init__(
        self,
        config: SamplingConfig,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        *,
        exempt: Sequence[int] = (),
        banned: Sequence[int] = (),
    ) -> None:
        assert len(prompts) == len(seeds)
        self._config, self._exempt, self._banned = config, list(exempt), list(banned)
        # On the CPU, so that a seed means the same on every device.
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._seen = [set(prompt) for prompt in prompts] if config.repetition_penalty != 1 else None

    def __call__(self, logits_BV: Tensor) -> list[int]:
        """The next token of each row."""
        logits_BV = logits_BV.float()
        if self._banned:
            logits_BV = logits_BV.index_fill(1, torch.tensor(self._banned, device=logits_BV.device), _NEVER)
        if self._seen is not None:
            logits_BV = penalize_repetition(logits_BV, self._seen_mask(logits_BV), self._config.repetition_penalty)
        if self._config.temperature == 0:
            chosen = logits_BV.argmax(-1).tolist()
        else:
            chosen = self._draw(filter_logits(logits_BV, self._config))
        for seen, token in zip(self._seen or (), chosen, strict=False):
            seen.add(token)
        return chosen

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only, in this order."""
        self._generators = [self._generators[row] for row in rows]
        if self._seen is not None:
            self._seen = [self._seen[row] for row in rows]

    def _draw(self, logits_BV: Tensor) -> list[int]:
        uniform = [torch.rand((), generator=g, dtype=torch.float64) for g in self._generators]
        return invert(_precise(logits_BV).softmax(-1).cumsum(-1), torch.stack(uniform)).tolist()

    def _seen_mask(self, logits_BV: Tensor) -> Tensor:
        assert self._seen is not None
        seen_BV = torch.zeros_like(logits_BV, dtype=torch.bool)
        for row, seen in enumerate(self._seen):
            seen_BV[row, list(seen)] = True
        seen_BV[:, self._exempt] = False
        return seen_BV
