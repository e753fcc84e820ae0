"""Law 7: documents packed into one row do not attend to each other: packed logits are unpacked logits."""

import pytest
import torch

LENGTHS = [9, 1, 14, 8]


@pytest.mark.parametrize("attention", ["fastest", "sdpa", "plain"])
def test_packed_logits_are_unpacked_logits(make_model, attention):
    model = make_model(attention=attention)
    documents = [torch.randint(0, 64, (1, n), generator=torch.Generator().manual_seed(n)) for n in LENGTHS]
    alone = torch.cat([model(tokens) for tokens in documents], dim=1)
    numbers = torch.cat([torch.full((1, n), i) for i, n in enumerate(LENGTHS)], dim=1)
    positions = torch.cat([torch.arange(n)[None] for n in LENGTHS], dim=1)
    packed = model(torch.cat(documents, dim=1), positions, numbers)
    torch.testing.assert_close(packed, alone, atol=2e-5, rtol=1e-4)


def test_without_the_mask_they_would(make_model):
    model = make_model()
    tokens = torch.randint(0, 64, (1, 32), generator=torch.Generator().manual_seed(0))
    numbers = torch.arange(32)[None] // 16
    apart, together = model(tokens, documents_BT=numbers), model(tokens)
    torch.testing.assert_close(apart[:, :16], together[:, :16], atol=2e-5, rtol=1e-4)
    assert (apart[:, 16:] - together[:, 16:]).abs().max() > 0.01
