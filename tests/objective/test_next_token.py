import numpy as np
import pytest
import torch
from torch.nn import functional as F

from groundup.data.batches import IGNORE, PADDING, Batch
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.moe.balance import take_auxiliary_loss
from groundup.model.parts import MoeConfig
from groundup.model.transformer import Transformer
from groundup.objective.next_token import NextToken, labels_ahead

VOCABULARY, CPU = 50, torch.device("cpu")
EXPERTS = MoeConfig(n_experts=4, d_expert=16, z_weight=0.01)


def make_model(**changes):
    config = ModelConfig(n_layers=2, d_model=32, n_heads=2, zero_init_output=False, init_std=0.5, **changes)
    return initialize(Transformer(config, VOCABULARY), seed=0)


@pytest.fixture
def objective():
    return NextToken(np.ones(VOCABULARY, dtype=np.int64))


@pytest.fixture
def batch():
    """Two rows: documents of 7 and 5 tokens, the first label not to be learned; one of 9, and padding."""
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (2, 13))
    documents = np.array([[0] * 7 + [1] * 5, [0] * 9 + [PADDING] * 3], np.int32)
    positions = np.array([[*range(7), *range(5)], [*range(9), 0, 0, 0]], np.int64)
    labels = tokens[:, 1:].copy()
    labels[0, [0, 6, 11]] = labels[1, 8:] = IGNORE
    return Batch(tokens[:, :-1].copy(), labels, positions, documents)


def test_labels_ahead_stay_within_their_document():
    labels = torch.tensor([[11, 12, 13, 21, 22, 23]])
    documents = torch.tensor([[0, 0, 0, 1, 1, 1]])
    assert labels_ahead(labels, documents, 1).tolist() == [[12, 13, IGNORE, 22, 23, IGNORE]]
    assert labels_ahead(labels, documents, 2).tolist() == [[13, IGNORE, IGNORE, 23, IGNORE, IGNORE]]
    assert labels_ahead(labels, None, 2).tolist() == [[13, 21, 22, 23, IGNORE, IGNORE]]
    assert (labels_ahead(labels, None, 6) == IGNORE).all()
    assert (labels_ahead(labels, None, 9) == IGNORE).all()
    assert labels.tolist() == [[11, 12, 13, 21, 22, 23]]


def test_a_plain_model_has_no_auxiliary_loss(objective, batch):
    loss = objective.loss(make_model(), batch, CPU)
    assert loss.auxiliary is None
    torch.testing.assert_close(loss.main, objective.losses(make_model(), batch, CPU).sum())


@pytest.mark.parametrize("parts", [{"moe": EXPERTS}, {"n_predict": 2}, {"moe": EXPERTS, "n_predict": 1}])
def test_what_is_told_is_the_loss_of_the_next_token_alone(parts, objective, batch):
    model = make_model(**parts)
    loss = objective.loss(model, batch, CPU)
    torch.testing.assert_close(loss.main, objective.losses(model, batch, CPU).sum())
    assert loss.auxiliary > 0
    with torch.no_grad():
        assert objective.loss(model, batch, CPU).auxiliary is None


def test_tokens_ahead_are_learned_with_their_weight(objective, batch):
    model = make_model(n_predict=2, predict_weight=0.4)
    found = objective.loss(model, batch, CPU).auxiliary
    tokens, positions, documents = (torch.from_numpy(a) for a in (batch.inputs, batch.positions, batch.documents))
    with torch.no_grad():
        logits = model.predict_ahead(model.hidden(tokens, positions, documents), tokens, positions, documents)
    total = 0.0
    for depth in (1, 2):
        for row, place in np.ndindex(2, 12 - depth):
            label = batch.labels[row, place + depth]
            if label != IGNORE and documents[row, place] == documents[row, place + depth]:
                scores = logits[depth - 1][row, place].double()
                total += 0.4 / 2 * F.cross_entropy(scores, torch.tensor(label)).item()
    assert found.item() == pytest.approx(total, rel=1e-5)


def test_experts_of_predictors_count_the_places_they_learn_from(objective, batch):
    model = make_model(moe=EXPERTS, n_predict=2)
    objective.loss(model, batch, CPU)
    valid = batch.n_labels
    ahead = [
        int((labels_ahead(torch.from_numpy(batch.labels), torch.from_numpy(batch.documents), d) != IGNORE).sum())
        for d in (1, 2)
    ]
    routers = [block.feedforward.router for block in (*model.blocks, *(p.block for p in model.predictors))]
    assert [router.counts.sum().item() // 2 for router in routers] == [valid, valid, *ahead]
    assert valid > ahead[0] > ahead[1]
    assert take_auxiliary_loss(model, torch.ones(2, 12, dtype=torch.bool)) is None


def test_scoring_leaves_no_trace_in_routers(objective, batch):
    model = make_model(moe=EXPERTS)
    objective.losses(model, batch, CPU)
    with torch.no_grad():
        objective.loss(model, batch, CPU)
    for block in model.blocks:
        assert block.feedforward.router.routing is None
        assert block.feedforward.router.counts is None
