import pytest
import torch

from groundup.core.device import Compute
from groundup.core.errors import UserError
from groundup.generate.config import SamplingConfig
from groundup.generate.engine import Engine, collect
from groundup.model.transformer import Transformer
from taught_model import CPU, TEXT

GREEDY = SamplingConfig(temperature=0)


def complete(engine: Engine, prompt: str, **changes):
    return engine.complete([engine.encode_prompt(prompt)], GREEDY.model_copy(update=changes))[0]


def test_a_text_known_by_heart_is_continued_to_its_end(engine):
    completion = complete(engine, TEXT[:10])
    assert completion.text == TEXT[10:]
    assert completion.finish_reason == "end"
    assert completion.token_ids[-1] == engine.tokenizer.eot_id


def test_an_empty_prompt_begins_a_document(engine):
    assert engine.encode_prompt("") == [engine.tokenizer.eot_id]
    assert complete(engine, "").text == TEXT


def test_a_prompt_of_nothing_is_refused(engine):
    with pytest.raises(UserError, match="the prompt is empty"):
        engine.complete([[]], GREEDY)


def test_pieces_are_whole_characters_and_add_up(engine):
    pieces = list(engine.stream([engine.encode_prompt("the q")], GREEDY))
    assert [piece.finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert "".join(piece.text for piece in pieces) == TEXT[5:]
    assert not any("\ufffd" in piece.text for piece in pieces)
    # 中文 takes several tokens: some pieces are empty until the character is whole.
    assert any(piece.text == "" for piece in pieces[:-1])


def test_the_most_tokens_end_a_text(engine):
    completion = complete(engine, "the q", max_new_tokens=3)
    assert (completion.finish_reason, len(completion.token_ids)) == ("length", 3)


def test_a_character_left_unfinished_shows_as_replacement(engine):
    ids = engine.tokenizer.encode(TEXT[: TEXT.index("中") + 1])
    count = len(ids) - len(engine.tokenizer.encode(TEXT[:3])) - 1
    completion = complete(engine, TEXT[:3], max_new_tokens=count)
    assert completion.text.endswith("\ufffd")
    assert completion.text == engine.tokenizer.decode(completion.token_ids)


@pytest.mark.parametrize("stop", ["fox", " jumps over", "dog, naïve", "中", "e café"])
def test_a_stop_string_across_tokens_cuts_the_text_before_it(engine, stop):
    completion = complete(engine, "the ", stop=("never", stop))
    assert completion.finish_reason == "stop"
    assert completion.text == TEXT[4 : TEXT.index(stop)]


def test_what_could_have_begun_a_stop_string_is_not_lost_at_the_end(engine):
    assert complete(engine, "the ", stop=("中文!",)).text == TEXT[4:]


def test_a_full_context_ends_a_text(engine):
    size = engine.context
    completion = engine.complete([[5] * (size - 1)], GREEDY)[0]
    assert (completion.finish_reason, len(completion.token_ids)) == ("context", 1)


def test_a_prompt_that_leaves_no_room_is_refused(engine):
    with pytest.raises(UserError, match=r"the prompt has 160 tokens; the model holds 160"):
        engine.complete([[5] * engine.context], GREEDY)


def test_rows_end_for_their_own_reasons_in_the_order_of_the_prompts(engine):
    prompts = [engine.encode_prompt(text) for text in (TEXT[:10], "the q", TEXT[:-1])] + [[5] * 150]
    got = engine.complete(prompts, GREEDY.model_copy(update={"max_new_tokens": 48, "stop": ("brown",)}))
    assert [c.finish_reason for c in got[:3]] == ["stop", "stop", "end"]
    assert [c.text for c in got[:3]] == ["", "uick ", "文"]
    assert len(got[3].token_ids) <= 10


def test_the_same_seed_gives_the_same_text_and_another_seed_another(engine):
    hot = {"temperature": 3.0, "max_new_tokens": 30}
    texts = [complete(engine, "the", seed=seed, **hot).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_rows_with_the_same_prompt_get_different_texts(engine):
    prompts = [engine.encode_prompt("the")] * 3
    hot = SamplingConfig(temperature=3.0, max_new_tokens=30)
    assert len({completion.text for completion in engine.complete(prompts, hot)}) == 3


def test_padding_start_of_turn_and_ids_beyond_the_vocabulary_are_never_written(engine):
    padded = Transformer(engine.model.config, engine.tokenizer.vocab_size + 40)
    torch.manual_seed(0)
    wide = Engine(padded, engine.tokenizer, CPU)
    hot = SamplingConfig(temperature=100.0, max_new_tokens=100)
    ids = {i for c in wide.complete([[5]] * 20, hot) for i in c.token_ids}
    assert max(ids) < engine.tokenizer.vocab_size
    assert not ids & {engine.tokenizer.pad_id, engine.tokenizer.im_start_id}
    assert len(ids) > 200


def test_a_model_that_trains_in_bf16_writes_too(engine):
    half = Engine(engine.model, engine.tokenizer, Compute(torch.device("cpu"), "bf16"))
    assert half.complete([engine.encode_prompt("the q")], GREEDY)[0].text == TEXT[5:]


def test_stopping_to_listen_leaves_nothing_behind(engine):
    stream = engine.stream([engine.encode_prompt("the q")], GREEDY)
    next(stream)
    stream.close()
    assert not torch.is_inference_mode_enabled()
    assert complete(engine, "the q").text == TEXT[5:]


def test_a_row_is_collected_only_when_it_has_ended(engine):
    stream = engine.stream([engine.encode_prompt("the q")], GREEDY)
    with pytest.raises(AssertionError, match="not ended"):
        collect([next(stream)])
