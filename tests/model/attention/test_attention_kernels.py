import pytest
import torch

from groundup.model.attention.kernels import (
    Scoring,
    batched_attention,
    fastest_attention,
    plain_attention,
    sdpa_attention,
)
from groundup.model.attention.mask import Visibility
from groundup.model.position.alibi import Alibi
from groundup.model.position.scheme import Position

CPU = torch.device("cpu")
SCORING = Scoring(0.3)
DOCUMENTS = torch.tensor([[0] * 5 + [1] * 4 + [2] * 3, [0] * 11 + [-1]])


def heads(queries, keys, tokens, seen, value_size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, queries, tokens, 16), (2, keys, seen, 16), (2, keys, seen, value_size)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def masks(queries):
    documents = Visibility(12, DOCUMENTS, None, CPU)
    return {
        "causal": None,
        "documents": documents.mask(None, Position().bias, torch.float32),
        "window": Visibility(12, None, None, CPU).mask(4, Position().bias, torch.float32),
        "alibi": documents.mask(None, Alibi(queries).bias, torch.float32),
    }


def value_and_gradients(kernel, qkv, mask, scoring=SCORING):
    out = kernel(*qkv, mask, scoring)
    (out * torch.linspace(-1, 2, out.numel()).view_as(out)).sum().backward()
    return out.detach(), [x.grad for x in qkv]


@pytest.mark.parametrize("fast", [sdpa_attention, batched_attention, fastest_attention])
@pytest.mark.parametrize("kind", ["causal", "documents", "window", "alibi"])
@pytest.mark.parametrize(("queries", "keys", "value_size"), [(4, 4, 16), (4, 2, 16), (4, 1, 10)])
def test_fast_kernels_are_the_formula_forward_and_backward(queries, keys, value_size, kind, fast):
    mask = masks(queries)[kind]
    made, wanted = (
        value_and_gradients(kernel, heads(queries, keys, 12, 12, value_size), mask)
        for kernel in (fast, plain_attention)
    )
    torch.testing.assert_close(made[0], wanted[0], atol=1e-5, rtol=1e-5)
    for fused, plain in zip(made[1], wanted[1], strict=True):
        torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-4)


def test_the_formula_is_that_of_one_query_after_the_other():
    q, k, v = heads(2, 2, 5, 5)
    out = plain_attention(q, k, v, None, Scoring(0.5, 3.0, torch.tensor([0.2, -1.0])))
    assert out.shape == (2, 2, 5, 16)
    for head, sink in enumerate((0.2, -1.0)):
        for i in range(5):
            logits = torch.stack([0.5 * (q[0, head, i] @ k[0, head, j]) for j in range(i + 1)])
            weights = (3.0 * (logits / 3.0).tanh()).exp()
            expected = (weights[:, None] * v[0, head, : i + 1]).sum(0) / (weights.sum() + torch.tensor(sink).exp())
            torch.testing.assert_close(out[0, head, i], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scoring", [Scoring(0.3, 2.0), Scoring(0.3, 0.0, torch.ones(4))], ids=["softcap", "sinks"])
def test_what_the_fused_kernels_cannot_do_is_computed_as_the_formula_says(scoring):
    for kernel in (sdpa_attention, fastest_attention):
        made = value_and_gradients(kernel, heads(4, 2, 12, 12), None, scoring)
        wanted = value_and_gradients(plain_attention, heads(4, 2, 12, 12), None, scoring)
        assert torch.equal(made[0], wanted[0])


def test_one_new_token_sees_all_that_came_before():
    q, k, v = heads(4, 2, 1, 9)
    made, wanted = (kernel(q, k, v, None, SCORING) for kernel in (sdpa_attention, plain_attention))
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fast", [sdpa_attention, batched_attention])
def test_in_bf16_fast_kernels_are_as_near_the_formula_as_its_rounding(fast):
    exact = heads(4, 2, 64, 64)
    expected = plain_attention(*exact, None, Scoring(0.25))
    expected.square().sum().backward()
    rounded = [x.detach().bfloat16().requires_grad_() for x in exact]
    out = fast(*rounded, None, Scoring(0.25))
    out.float().square().sum().backward()
    torch.testing.assert_close(out.float(), expected, atol=0.03, rtol=0.03)
    for x, y in zip(rounded, exact, strict=True):
        error = (x.grad.float() - y.grad).norm() / y.grad.norm()
        assert error < 0.02
