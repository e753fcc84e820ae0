import pytest
import torch

from groundup.model.attention import plain_attention, sdpa_attention
from groundup.model.transformer import attention_mask


def heads(queries, keys, tokens, seen, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, queries, tokens, 16), (2, keys, seen, 16), (2, keys, seen, 16)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


DOCUMENTS = torch.tensor([[0] * 5 + [1] * 4 + [2] * 3, [0] * 11 + [-1]])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(4, 4), (4, 2), (4, 1)])
def test_the_fused_kernel_is_the_formula_forward_and_backward(queries, keys, masked):
    mask = attention_mask(12, DOCUMENTS, None, torch.device("cpu")) if masked else None
    outputs, gradients = [], []
    for kernel in (sdpa_attention, plain_attention):
        qkv = heads(queries, keys, 12, 12)
        out = kernel(*qkv, mask)
        out.square().sum().backward()
        outputs.append(out.detach())
        gradients.append([x.grad for x in qkv])
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-5, rtol=1e-5)
    for fused, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-4)


def test_one_new_token_sees_all_that_came_before():
    q, k, v = heads(4, 2, 1, 9)
    torch.testing.assert_close(sdpa_attention(q, k, v, None), plain_attention(q, k, v, None), atol=1e-5, rtol=1e-5)


def test_a_mask_is_causal_within_documents():
    mask = attention_mask(12, DOCUMENTS, None, torch.device("cpu"))
    assert mask is not None
    for row in range(2):
        for i in range(12):
            for j in range(12):
                expected = j <= i and DOCUMENTS[row, i] == DOCUMENTS[row, j]
                assert bool(mask[row, 0, i, j]) == bool(expected)


def test_no_mask_is_made_where_causal_order_says_it_all():
    assert attention_mask(12, None, None, torch.device("cpu")) is None
