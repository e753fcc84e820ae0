import pytest
import torch

from groundup.core.device import Compute
from groundup.generate.cache import KeyValueCache, new_cache
from groundup.generate.decoder import Prefix
from groundup.generate.state_cache import StateCache
from model_kinds import LATENT, model_of
from taught_model import CPU

TRANSFORMERS = ["grouped heads", "latent attention", "window, global", "learned positions"]
RECURRENT = ["rnn", "lstm", "gru"]


@pytest.fixture(params=TRANSFORMERS + RECURRENT)
def model(request):
    return model_of(request.param)


@pytest.fixture(params=TRANSFORMERS)
def transformer(request):
    return model_of(request.param)


@pytest.fixture(params=RECURRENT)
def recurrent(request):
    return model_of(request.param)


def cache_for(model, rows=1, room=20):
    return new_cache(model.config, rows, room, CPU.device, CPU.dtype)


def test_every_model_has_the_cache_of_its_kind(transformer, recurrent):
    assert isinstance(cache_for(transformer), KeyValueCache)
    assert isinstance(cache_for(recurrent), StateCache)


def test_latent_attention_keeps_what_keys_and_values_are_made_of():
    model = model_of("latent attention")
    cache = cache_for(model, rows=2)
    stored = cache.layers[0].append(torch.ones(2, 1, 3, LATENT.kv_rank), torch.ones(2, 1, 3, LATENT.rope_head_dim))
    assert [tuple(part.shape) for part in stored] == [(2, 1, 3, 12), (2, 1, 3, 4)]


def test_states_are_as_large_after_a_thousand_tokens_as_after_one(recurrent):
    cache = cache_for(recurrent, room=1000)
    recurrent(torch.zeros((1, 1000), dtype=torch.long), cache=cache)
    assert all(part.shape == (1, 1, 32) for state in cache.before(None) for part in state)


@torch.inference_mode()
def test_length_moves_once_a_pass(model):
    cache = cache_for(model)
    model(torch.tensor([[1, 2, 3]]), cache=cache)
    assert cache.length == 3
    model(torch.tensor([[4]]), cache=cache)
    assert cache.length == 4


@torch.inference_mode()
def test_a_pass_cut_off_halfway_has_stored_nothing(model):
    def cut(*_):
        raise KeyboardInterrupt

    cache, fresh = cache_for(model), cache_for(model)
    first = torch.tensor([[1, 2, 3]]), None, torch.tensor([[0, 1, 1]])
    last = torch.tensor([[4]]), torch.tensor([[2]]), torch.tensor([[1]])
    model(*first, cache=cache)
    model(*first, cache=fresh)
    hook = model.blocks[1].register_forward_pre_hook(cut)
    with pytest.raises(KeyboardInterrupt):
        model(torch.tensor([[9, 9]]), None, torch.tensor([[2, 3]]), cache=cache)
    hook.remove()
    assert cache.length == 3
    assert torch.equal(model(*last, cache=cache), model(*last, cache=fresh))


@torch.inference_mode()
def test_what_is_rewound_is_as_if_it_had_never_been_read(transformer):
    cache, fresh = cache_for(transformer), cache_for(transformer)
    transformer(torch.tensor([[1, 2, 3, 4, 5]]), documents_BT=torch.tensor([[0, 0, 1, 1, 1]]), cache=cache)
    assert cache.rewind(2) == 2
    transformer(torch.tensor([[1, 2]]), cache=fresh)
    more = torch.tensor([[6, 7]])
    torch.testing.assert_close(transformer(more, cache=cache), transformer(more, cache=fresh))
    # Document numbers are forgotten too: later tokens without them are of the first document.
    seen_BS = cache.extend(torch.tensor([[0]]))
    assert seen_BS.tolist() == [[0, 0, 0, 0, 0]]


@torch.inference_mode()
def test_a_state_stays_or_begins_again(recurrent):
    cache, fresh = cache_for(recurrent), cache_for(recurrent)
    recurrent(torch.tensor([[1, 2, 3]]), documents_BT=torch.tensor([[0, 0, 1]]), cache=cache)
    assert (cache.rewind(3), cache.length) == (3, 3)
    assert any(part.any() for part in cache.before(None)[0])
    assert (cache.rewind(2), cache.length) == (0, 0)
    more = torch.tensor([[6, 7]])
    assert torch.equal(recurrent(more, cache=cache), recurrent(more, cache=fresh))


@torch.inference_mode()
def test_more_tokens_than_there_is_room_for_are_refused(model):
    cache = cache_for(model, room=4)
    with pytest.raises(AssertionError, match="holds 4 tokens, not 5"):
        model(torch.tensor([[1, 2, 3, 4, 5]]), cache=cache)
    assert cache.length == 0


@torch.inference_mode()
def test_rows_are_kept_in_the_order_asked_for(model):
    ids_BT, documents_BT = torch.tensor([[1, 2], [3, 4], [5, 6]]), torch.tensor([[0, 0], [0, 0], [0, 1]])
    cache, alone = cache_for(model, rows=3), cache_for(model)
    model(ids_BT, documents_BT=documents_BT, cache=cache)
    cache.keep([2, 0])
    model(ids_BT[2:], documents_BT=documents_BT[2:], cache=alone)
    numbers = torch.tensor([[1], [0]])
    torch.testing.assert_close(
        model(torch.tensor([[7], [8]]), documents_BT=numbers, cache=cache)[:1],
        model(torch.tensor([[7]]), documents_BT=numbers[:1], cache=alone),
    )


def test_a_prefix_tells_how_much_need_not_be_read_again(transformer, recurrent):
    row = [5, 6, 7, 8]
    for model, forked in ((transformer, 2), (recurrent, 0)):
        prefix = Prefix(model, CPU)
        prefix.ids.extend(row)
        model(torch.tensor([row]), cache=prefix.cache)
        assert prefix.reuse([*row, 9]) == 4
        assert prefix.reuse([5, 6, 9, 9]) == forked
        assert prefix.ids == row[:forked]
        assert prefix.cache.length == forked


def test_a_cache_in_bf16_serves_a_model_that_computes_in_it(model):
    compute = Compute(torch.device("cpu"), "bf16")
    cache = new_cache(model.config, 1, 20, compute.device, compute.dtype)
    ids_BT = torch.arange(8)[None]
    with torch.inference_mode(), compute.autocast():
        steps = [model(part, cache=cache) for part in ids_BT.split(3, 1)]
        whole = model(ids_BT)
    assert (torch.cat(steps, 1) - whole).float().norm() < 0.02 * whole.float().norm()
