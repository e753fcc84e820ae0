"""Law 8: decoding with a cache = full forward; a batch = each prompt alone."""

import pytest
import torch

from groundup.generate.cache import ModelCache, new_cache
from groundup.generate.config import SamplingConfig
from groundup.generate.decoder import Decoder, Prefix
from groundup.generate.engine import Engine
from groundup.model.language_model import LanguageModel
from model_kinds import KINDS, VOCABULARY, model_of
from taught_model import CPU, small_tokenizer

# Kinds that are tried through an engine too, which takes longer.
ENGINE_KINDS = ["grouped heads", "latent attention", "sinks", "alibi", "learned positions", "experts", "lstm", "gru"]


@pytest.fixture(params=KINDS)
def model(request) -> LanguageModel:
    return model_of(request.param)


def tokens(rows: int, length: int) -> torch.Tensor:
    return torch.randint(VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(2))


def cache_for(model: LanguageModel, rows: int, room: int = 48) -> ModelCache:
    return new_cache(model.config, rows, room, CPU.device, CPU.dtype)


@torch.inference_mode()
def test_one_token_at_a_time_gives_the_logits_of_the_whole(model):
    ids_BT = tokens(2, 20)
    cache = cache_for(model, 2)
    steps = [model(ids_BT[:, i : i + 1], cache=cache) for i in range(20)]
    torch.testing.assert_close(torch.cat(steps, 1), model(ids_BT), atol=2e-5, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("chunk", [1, 3, 7, 20])
def test_a_prompt_read_in_chunks_gives_the_logits_of_the_whole(model, chunk):
    ids_BT = tokens(2, 20)
    cache = cache_for(model, 2)
    parts = [model(part, cache=cache) for part in ids_BT.split(chunk, 1)]
    torch.testing.assert_close(torch.cat(parts, 1), model(ids_BT), atol=2e-5, rtol=0)


@torch.inference_mode()
def test_documents_in_one_row_stay_apart_through_a_cache(model):
    ids_BT = tokens(1, 20)
    documents_BT = torch.tensor([[0] * 9 + [1] * 11])
    positions_BT = torch.tensor([[*range(9), *range(11)]])
    cache = cache_for(model, 1)
    parts = [
        model(ids_BT[:, i:j], positions_BT[:, i:j], documents_BT[:, i:j], cache)
        for i, j in ((0, 5), (5, 12), (12, 13), (13, 20))
    ]
    alone = torch.cat((model(ids_BT[:, :9]), model(ids_BT[:, 9:])), 1)
    torch.testing.assert_close(torch.cat(parts, 1), alone, atol=2e-5, rtol=0)


def test_rows_of_different_lengths_get_the_logits_that_each_gets_alone(model):
    prompts = [tokens(1, n)[0].tolist() for n in (5, 1, 17, 5)]
    following = tokens(4, 6)
    batch = Decoder(model, CPU, prompts, 6)
    alone = [Decoder(model, CPU, [prompt], 6) for prompt in prompts]
    torch.testing.assert_close(batch.start(), torch.cat([d.start() for d in alone]), atol=2e-5, rtol=0)
    for i in range(6):
        together = batch.step(following[:, i].tolist())
        each = [d.step([following[row, i].item()]) for row, d in enumerate(alone)]
        torch.testing.assert_close(together, torch.cat(each), atol=2e-5, rtol=0)


def test_positions_count_from_the_start_of_each_row(monkeypatch):
    model = model_of("grouped heads")
    seen, prepare = [], model.position.prepare
    monkeypatch.setattr(model.position, "prepare", lambda p, kind: seen.append(p.tolist()) or prepare(p, kind))
    batch = Decoder(model, CPU, [[1, 2, 3], [4]], 6)
    batch.start()
    batch.step([5, 6])
    assert seen == [[[0, 1, 2], [0, 0, 0]], [[3], [1]]]


def test_rows_that_have_ended_leave_the_others_as_they_were(model):
    prompts = [tokens(1, n)[0].tolist() for n in (5, 1, 17)]
    batch, alone = Decoder(model, CPU, prompts, 6), Decoder(model, CPU, prompts[2:], 6)
    batch.start()
    alone.start()
    batch.keep([0, 2])
    torch.testing.assert_close(batch.step([7, 8])[1:], alone.step([8]), atol=2e-5, rtol=0)
    batch.keep([1])
    torch.testing.assert_close(batch.step([9]), alone.step([9]), atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", ["grouped heads", "latent attention", "window", "learned positions", "rnn", "lstm"])
def test_what_was_read_before_is_not_read_again_and_changes_nothing(kind):
    model = model_of(kind)
    prefix = Prefix(model, CPU)
    first, second = tokens(2, 12).tolist()
    # A longer row, the same again, another end, a shorter one, another row, one that goes on with it.
    rows = [first[:5], first, first, first[:9] + second[9:], first[:3], second, second + first]
    for row in rows:
        fresh, kept = Decoder(model, CPU, [row], 3), Decoder(model, CPU, [row], 3, prefix)
        torch.testing.assert_close(kept.start(), fresh.start(), atol=2e-5, rtol=0)
        torch.testing.assert_close(kept.step([7]), fresh.step([7]), atol=2e-5, rtol=0)


FILTERED = SamplingConfig(temperature=1.5, top_k=50, top_p=0.95, min_p=0.01, repetition_penalty=1.3, seed=4)


@pytest.mark.parametrize(
    ("kind", "sampling"),
    [
        ("grouped heads", SamplingConfig(temperature=0)),
        ("grouped heads", SamplingConfig(temperature=1.0, seed=3)),
        *((kind, FILTERED) for kind in ENGINE_KINDS),
    ],
    ids=["greedy", "sampled", *ENGINE_KINDS],
)
def test_texts_of_a_batch_are_the_texts_of_each_prompt_alone(kind, sampling):
    engine = Engine(model_of(kind), small_tokenizer(), CPU)
    prompts = [tokens(1, n)[0].tolist() for n in (5, 1, 17, 46, 5)]
    together = engine.complete(prompts, sampling, batch_size=3)
    for i, prompt in enumerate(prompts):
        alone = sampling.model_copy(update={"seed": sampling.seed + i})
        assert engine.complete([prompt], alone) == [together[i]]
