"""Law 7: documents packed into one row do not attend to each other: packed logits are unpacked logits."""

import pytest
import torch

from model_kinds import KINDS, VOCABULARY, model_of

# Two rows, each of documents of so many tokens, and of padding at its end.
LENGTHS = [[9, 1, 14, 8], [2, 20, 1]]
PADDING = [0, 9]


def row_of(model, lengths, padding):
    """Tokens, positions and document numbers of a row, and the logits of its documents alone."""
    documents = [torch.randint(VOCABULARY, (1, n), generator=torch.Generator().manual_seed(n)) for n in lengths]
    alone = torch.cat([model(tokens) for tokens in documents], dim=1)
    blank = torch.zeros((1, padding), dtype=torch.long)
    tokens = torch.cat([*documents, blank], dim=1)
    positions = torch.cat([torch.arange(n)[None] for n in lengths] + [blank], dim=1)
    numbers = torch.cat([torch.full((1, n), i) for i, n in enumerate(lengths)] + [blank - 1], dim=1)
    return tokens, positions, numbers, alone


@pytest.mark.parametrize("kind", KINDS)
def test_packed_logits_are_unpacked_logits(kind):
    model = model_of(kind)
    rows = [row_of(model, *row) for row in zip(LENGTHS, PADDING, strict=True)]
    packed = model(*(torch.cat(parts) for parts in list(zip(*rows, strict=True))[:3]))
    for got, (*_, alone) in zip(packed, rows, strict=True):
        torch.testing.assert_close(got[: alone.shape[1]], alone[0], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_gradients_are_unpacked_gradients(kind):
    model = model_of(kind)
    tokens, positions, numbers, alone = row_of(model, LENGTHS[1], PADDING[1])
    weight = torch.randn(alone.shape, generator=torch.Generator().manual_seed(0))
    parameters = [p for name, p in model.named_parameters() if not name.startswith("predictors.")]
    wanted = torch.autograd.grad((alone * weight).sum(), parameters)
    packed = model(tokens, positions, numbers)[:, : alone.shape[1]]
    got = torch.autograd.grad((packed * weight).sum(), parameters)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["grouped heads", "window", "alibi", "rnn", "lstm", "gru"])
def test_without_numbers_they_would(kind):
    model = model_of(kind)
    tokens = torch.randint(VOCABULARY, (1, 32), generator=torch.Generator().manual_seed(0))
    numbers = torch.arange(32)[None] // 16
    apart, together = model(tokens, documents_BT=numbers), model(tokens)
    torch.testing.assert_close(apart[:, :16], together[:, :16], atol=2e-5, rtol=1e-4)
    assert (apart[:, 16:] - together[:, 16:]).abs().max() > 0.01
