import pytest
import torch

from groundup.model.attention import batched_attention, fastest_attention, plain_attention, sdpa_attention
from groundup.model.transformer import attention_mask


def heads(queries, keys, tokens, seen, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, queries, tokens, 16), (2, keys, seen, 16), (2, keys, seen, 16)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


DOCUMENTS = torch.tensor([[0] * 5 + [1] * 4 + [2] * 3, [0] * 11 + [-1]])


@pytest.mark.parametrize("fast", [sdpa_attention, batched_attention, fastest_attention])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(4, 4), (4, 2), (4, 1)])
def test_fast_kernels_are_the_formula_forward_and_backward(queries, keys, masked, fast):
    mask = attention_mask(12, DOCUMENTS, None, torch.device("cpu")) if masked else None
    outputs, gradients = [], []
    for kernel in (fast, plain_attention):
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


@pytest.mark.parametrize("fast", [sdpa_attention, batched_attention])
def test_in_bf16_fast_kernels_are_as_near_the_formula_as_its_rounding(fast):
    exact = heads(4, 2, 64, 64)
    expected = plain_attention(*exact, None)
    expected.square().sum().backward()
    rounded = [x.detach().bfloat16().requires_grad_() for x in exact]
    out = fast(*rounded, None)
    out.float().square().sum().backward()
    torch.testing.assert_close(out.float(), expected, atol=0.03, rtol=0.03)
    for x, y in zip(rounded, exact, strict=True):
        error = (x.grad.float() - y.grad).norm() / y.grad.norm()
        assert error < 0.02
