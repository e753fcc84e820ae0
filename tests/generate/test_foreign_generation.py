"""Engine and Conversation with tokenizers of others."""

import pytest
import torch

from foreign_tokenizers import write_tokenizer
from groundup.generate.config import SamplingConfig
from groundup.generate.conversation import Conversation
from groundup.generate.engine import Engine
from groundup.model.build import build_model
from groundup.tokenizer.foreign import ForeignTokenizer
from taught_model import ANSWER, CPU, QUESTION, TEXT, taught_engine

GREEDY = SamplingConfig(temperature=0)


@pytest.fixture(scope="module", params=["llama2", "llama3", "gemma"])
def foreign(request, tmp_path_factory) -> Engine:
    folder = write_tokenizer(request.param, tmp_path_factory.mktemp(request.param), 700)
    return taught_engine(tokenizer=ForeignTokenizer.load(folder))


def test_a_text_is_continued_with_its_spaces_to_its_end(foreign):
    for begun in ("the quick", "the quick brown fox"):
        (completion,) = foreign.complete([foreign.encode_prompt(begun)], GREEDY)
        assert completion.text == TEXT[len(begun) :]
        assert completion.finish_reason == "end"
        assert completion.token_ids[-1] == foreign.tokenizer.eos_id


def test_a_prompt_begins_with_what_the_model_knows(foreign):
    assert foreign.encode_prompt("the") == [foreign.tokenizer.bos_id, *foreign.tokenizer.encode("the")]
    assert foreign.encode_prompt("") == [foreign.tokenizer.bos_id]


def test_pieces_are_whole_characters(foreign):
    pieces = list(foreign.stream([foreign.encode_prompt("the quick")], GREEDY))
    assert "".join(piece.text for piece in pieces) == TEXT[len("the quick") :]
    assert not any("\ufffd" in piece.text for piece in pieces)


def test_a_conversation_is_answered_without_the_space_before_a_text(foreign):
    conversation = Conversation(foreign, GREEDY)
    reply = "".join(piece.text for piece in conversation.reply(QUESTION))
    assert reply.rstrip() == ANSWER  # Llama 2's template writes a space behind an answer
    assert conversation.turns[-1] == {"role": "assistant", "content": reply}
    fresh = Conversation(foreign, GREEDY)
    fresh.turns = list(conversation.turns)
    again = ["".join(piece.text for piece in talk.reply("and?")) for talk in (conversation, fresh)]
    assert again[0] == again[1]


def test_only_ids_without_a_token_are_never_written(foreign):
    torch.manual_seed(0)
    padded = build_model(foreign.model.config, foreign.tokenizer.vocab_size + 40)
    hot = SamplingConfig(temperature=100.0, max_new_tokens=100)
    wide = Engine(padded, foreign.tokenizer, CPU)
    ids = {i for c in wide.complete([[5]] * 30, hot) for i in c.token_ids}
    assert max(ids) < foreign.tokenizer.vocab_size
    assert len(ids) > 500
