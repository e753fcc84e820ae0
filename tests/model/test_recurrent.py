import pytest
import torch
from torch import nn

from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.recurrent import Recurrent
from groundup.model.segments import GroupedScan, PackedScan, choose_scan, scan_rows

KINDS = ["rnn", "lstm", "gru"]
TOKENS_BT = torch.randint(0, 97, (3, 20), generator=torch.Generator().manual_seed(0))


def make(kind, **changes) -> Recurrent:
    model = initialize(build_model(ModelConfig(kind=kind, n_layers=2, d_model=24, init_std=0.5, **changes), 97), seed=0)
    assert isinstance(model, Recurrent)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.dim() < 2:
            parameter.data += torch.randn(parameter.shape, generator=generator) / 4
    return model


def step_rnn(i_G, h_G, state):
    """Elman 1990: h' = tanh(W x + U h)."""
    h = (i_G + h_G).tanh()
    return h, (h,)


def step_lstm(i_G, h_G, state):
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000."""
    _, c = state
    i, f, g, o = (i_G + h_G).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return h, (h, c)


def step_gru(i_G, h_G, state):
    """Cho et al. 2014, with the reset gate behind the product, as in its version 2."""
    (h,) = state
    (ir, iz, im), (hr, hz, hm) = i_G.chunk(3, -1), h_G.chunk(3, -1)
    r, z = (ir + hr).sigmoid(), (iz + hz).sigmoid()
    h = (1 - z) * (im + r * hm).tanh() + z * h
    return h, (h,)


STEPS = {"rnn": step_rnn, "lstm": step_lstm, "gru": step_gru}


def plain_cell(cell, kind, x_BTD, documents_BT, size):
    """One token after the other; the state is zero where another document begins."""
    rows = []
    for x_TD, documents_T in zip(x_BTD, documents_BT.tolist(), strict=True):
        state, last, outs = None, None, []
        for x_D, document in zip(x_TD, documents_T, strict=True):
            if document != last:
                state = (torch.zeros(size),) * (2 if kind == "lstm" else 1)
            i_G = cell.weight_ih_l0 @ x_D + cell.bias_ih_l0
            h_G = cell.weight_hh_l0 @ state[0] + cell.bias_hh_l0
            out, state = STEPS[kind](i_G, h_G, state)
            outs.append(out)
            last = document
        rows.append(torch.stack(outs))
    return torch.stack(rows)


def plain_logits(model, kind, tokens_BT, documents_BT):
    x_BTD = model.embedding(tokens_BT)
    for block in model.blocks:
        x_BTD = x_BTD + plain_cell(block.cell, kind, block.norm(x_BTD), documents_BT, 24)
    return model.head(model.norm(x_BTD))


# One document a row; few; many of unlike lengths, with padding.
DOCUMENTS = {
    "whole rows": [[0] * 20, [0] * 20, [3] * 20],
    "one border": [[0] * 20, [0] * 7 + [1] * 13, [0] * 20],
    "many": [[0] * 5 + [1] * 6 + [2] + [3] * 8, [0] * 15 + [-1] * 5, [0] + [1] * 2 + [2] + [1] * 3 + [4] * 13],
}


@pytest.mark.parametrize("documents", DOCUMENTS.values(), ids=DOCUMENTS.keys())
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients_are_those_of_the_equations_step_by_step(kind, documents):
    model, documents_BT = make(kind), torch.tensor(documents)
    got, wanted = model(TOKENS_BT, None, documents_BT), plain_logits(model, kind, TOKENS_BT, documents_BT)
    assert got.shape == (3, 20, 97)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
    weight = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad((got * weight).sum(), list(model.parameters()))
    right = torch.autograd.grad((wanted * weight).sum(), list(model.parameters()))
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_run_over_segments_is_the_same(kind):
    cell = make(kind).blocks[0].cell
    documents_BT = torch.tensor(DOCUMENTS["many"])
    x_BTD = torch.randn(3, 20, 24, generator=torch.Generator().manual_seed(0))
    packed, grouped = choose_scan(documents_BT, wants_state=True), choose_scan(documents_BT, wants_state=False)
    assert isinstance(packed, PackedScan)
    assert isinstance(grouped, GroupedScan)
    out_BTD, state = packed(cell, x_BTD, None)
    torch.testing.assert_close(grouped(cell, x_BTD, None)[0], out_BTD, atol=1e-5, rtol=1e-5)
    # The state left behind is that of the last document of each row, from its own beginning.
    for row, begin in enumerate((12, 15, 7)):
        alone, behind = scan_rows(cell, x_BTD[row : row + 1, begin:], None)
        torch.testing.assert_close(out_BTD[row, begin:], alone[0], atol=1e-5, rtol=1e-5)
        for part, part_alone in zip(state, behind, strict=True):
            torch.testing.assert_close(part[:, row], part_alone[:, 0], atol=1e-5, rtol=1e-5)


def test_rows_of_one_document_are_run_as_they_are():
    assert choose_scan(None, wants_state=True) is scan_rows
    assert choose_scan(torch.tensor([[0, 0], [1, 1]]), wants_state=False) is scan_rows
    assert choose_scan(torch.tensor([[0], [-1]]), wants_state=True) is scan_rows


def test_groups_are_padded_by_less_than_half():
    generator = torch.Generator().manual_seed(0)
    documents_BT = (torch.rand(8, 256, generator=generator) < 0.05).cumsum(1)
    scan, computed = choose_scan(documents_BT, wants_state=False), []
    cell = nn.GRU(4, 4, batch_first=True)
    cell.register_forward_pre_hook(lambda _, inputs: computed.append(inputs[0].shape[:2].numel()))
    scan(cell, torch.zeros(8, 256, 4), None)
    assert documents_BT.numel() <= sum(computed) < 2 * documents_BT.numel()
    assert len(computed) <= 9


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_under_bf16_autocast(kind):
    model, documents_BT = make(kind), torch.tensor(DOCUMENTS["many"])
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(TOKENS_BT, None, documents_BT)
    assert logits.dtype == torch.bfloat16
    logits.float().logsumexp(-1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())
    precise = model(TOKENS_BT, None, documents_BT)
    assert (logits - precise).norm() < 0.01 * precise.norm()


@pytest.mark.parametrize(("kind", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_it_has_the_parameters_of_the_equations_and_none_are_allocated_on_meta(kind, gates):
    with torch.device("meta"):
        model = build_model(ModelConfig(kind=kind, n_layers=3, d_model=1024), 50_000)
    assert all(p.is_meta for p in model.parameters())
    block = gates * (2 * 1024 * 1024 + 2 * 1024) + 1024
    assert sum(p.numel() for p in model.parameters()) == 50_000 * 1024 + 3 * block + 1024
    names = {name for name, _ in model.named_parameters() if name.startswith("blocks.1.")}
    cell = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    assert names == {"blocks.1.norm.weight", *(f"blocks.1.cell.{name}" for name in cell)}


@pytest.mark.parametrize("kind", KINDS)
def test_scales_of_the_residual_stream_reach_it(kind):
    plain, scaled = make(kind), make(kind, embedding_scale=2.0, residual_scale=0.0001, logit_scale=3.0)
    wanted = 3 * plain.head(scaled.norm(2 * plain.embedding(TOKENS_BT)))
    torch.testing.assert_close(scaled(TOKENS_BT), wanted, atol=0.05, rtol=0.01)
