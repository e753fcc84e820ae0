import torch
from torch.nn import functional as F

from groundup.model.attention.mask import Sight
from groundup.model.config import ModelConfig
from groundup.model.count import count_parameters
from groundup.model.initialize import initialize
from groundup.model.transformer import Transformer

CONFIG = ModelConfig(n_layers=2, d_model=32, n_heads=4, n_predict=2, zero_init_output=False, init_std=0.5)


def test_predictors_read_the_tokens_between():
    model = initialize(Transformer(CONFIG, 50), seed=0)
    tokens = torch.randint(50, (2, 12))
    hidden = model.hidden(tokens)
    first, second = model.predict_ahead(hidden, tokens)
    assert first.shape == second.shape == (2, 12, 50)
    sight = Sight(model.position.prepare(torch.arange(12)[None], torch.float32), None)
    state, coming = hidden, tokens
    for logits, predictor in zip((first, second), model.predictors, strict=True):
        coming = F.pad(coming[:, 1:], (0, 1))
        both = torch.cat((predictor.hidden_norm(state), predictor.embedding_norm(model.embed(coming))), -1)
        state = predictor.block(predictor.projection(both), sight, None)
        expected = model.logits(predictor.norm(state))
        torch.testing.assert_close(logits[:, :10], expected[:, :10], atol=1e-5, rtol=1e-5)


def test_a_prediction_never_sees_the_token_that_it_is_of():
    model = initialize(Transformer(CONFIG, 50), seed=0)
    tokens = torch.randint(50, (1, 12))
    for depth in (1, 2):
        changed = tokens.clone()
        changed[0, 6] = (changed[0, 6] + 1) % 50
        before, after = (model.predict_ahead(model.hidden(t), t)[depth - 1][0] for t in (tokens, changed))
        differs = (before - after).abs().amax(-1) > 1e-4
        # At place t predictor d knows tokens up to t + d: token 6 is known from 6 - d on.
        assert differs.nonzero().flatten().tolist()[0] == 6 - depth


def test_generation_does_not_use_them():
    model = initialize(Transformer(CONFIG, 50), seed=0)
    tokens = torch.randint(50, (1, 8))
    before = model(tokens)
    for parameter in model.predictors.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(model(tokens), before)


def test_they_count_as_parameters():
    without = CONFIG.model_copy(update={"n_predict": 0})
    assert count_parameters(CONFIG, 50).total > count_parameters(without, 50).total
