import pytest
import torch

from groundup.generate.cache import KeyValueCache
from taught_model import CPU


@pytest.fixture
def model(engine):
    return engine.model


def cache_for(model, rows=1, room=20):
    return KeyValueCache(model.config, rows, room, CPU.device, CPU.dtype)


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
    model(torch.tensor([[1, 2, 3]]), cache=cache)
    model(torch.tensor([[1, 2, 3]]), cache=fresh)
    hook = model.blocks[1].register_forward_pre_hook(cut)
    with pytest.raises(KeyboardInterrupt):
        model(torch.tensor([[9, 9]]), cache=cache)
    hook.remove()
    assert cache.length == 3
    assert torch.equal(model(torch.tensor([[4]]), cache=cache), model(torch.tensor([[4]]), cache=fresh))


@torch.inference_mode()
def test_what_is_truncated_is_as_if_it_had_never_been_read(model):
    cache, fresh = cache_for(model), cache_for(model)
    model(torch.tensor([[1, 2, 3, 4, 5]]), documents_BT=torch.tensor([[0, 0, 1, 1, 1]]), cache=cache)
    cache.rewind(2)
    model(torch.tensor([[1, 2]]), cache=fresh)
    torch.testing.assert_close(model(torch.tensor([[6, 7]]), cache=cache), model(torch.tensor([[6, 7]]), cache=fresh))
    # Document numbers are forgotten too: later tokens without them are of the first document.
    seen_BS = cache.extend(torch.tensor([[0]]))
    assert seen_BS.tolist() == [[0, 0, 0, 0, 0]]


@torch.inference_mode()
def test_more_tokens_than_there_is_room_for_are_refused(model):
    cache = cache_for(model, room=4)
    with pytest.raises(AssertionError, match="holds 4 tokens, not 5"):
        model(torch.tensor([[1, 2, 3, 4, 5]]), cache=cache)


@torch.inference_mode()
def test_rows_are_kept_in_the_order_asked_for(model):
    ids_BT = torch.tensor([[1, 2], [3, 4], [5, 6]])
    cache, alone = cache_for(model, rows=3), cache_for(model)
    model(ids_BT, cache=cache)
    cache.keep([2, 0])
    model(ids_BT[2:], cache=alone)
    torch.testing.assert_close(
        model(torch.tensor([[7], [8]]), cache=cache)[:1], model(torch.tensor([[7]]), cache=alone)
    )
