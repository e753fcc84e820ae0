"""A conversation whose cache is kept says what one says that reads everything anew, whatever the model keeps."""

import pytest

from groundup.generate.config import SamplingConfig
from groundup.generate.conversation import Conversation
from groundup.generate.engine import Engine
from model_kinds import model_of
from taught_model import CPU, QUESTION, small_tokenizer

SAMPLING = SamplingConfig(temperature=2.0, max_new_tokens=12)
KINDS = ["grouped heads", "latent attention", "window, global", "alibi", "learned positions", "rnn", "lstm", "gru"]


@pytest.fixture(params=KINDS)
def engine(request):
    return Engine(model_of(request.param, max_seq_len=160), small_tokenizer(), CPU)


def hear(replies) -> str:
    return "".join(piece.text for piece in replies)


class Pair:
    """A conversation, and for each reply a fresh one that has said the same."""

    def __init__(self, engine: Engine) -> None:
        self.kept = Conversation(engine, SAMPLING, "Be brief.")
        self._engine, self._seed = engine, 0

    def reply(self, text: str) -> None:
        self._seed += 1
        config = SAMPLING.model_copy(update={"seed": self._seed})
        fresh = Conversation(self._engine, config, "Be brief.")
        fresh.turns = list(self.kept.turns)
        self.kept.configure(config)
        assert hear(self.kept.reply(text)) == hear(fresh.reply(text))
        assert self.kept.messages == fresh.messages

    def retry(self) -> None:
        self.reply(self.kept.undo())


def test_what_is_said_next_undone_said_again_and_dropped(engine):
    pair = Pair(engine)
    pair.reply(QUESTION)
    pair.retry()
    pair.reply("again")
    pair.kept.undo()
    pair.reply("and?")
    pair.retry()
    pair.kept.undo()
    pair.kept.undo()
    for i in range(4):
        pair.reply(f"a message {i}")
    assert pair.kept.unseen_turns > 0
    pair.retry()
    pair.kept.reset()
    pair.reply(QUESTION)


def test_a_reply_that_was_not_heard_to_its_end(engine):
    pair = Pair(engine)
    replies = pair.kept.reply(QUESTION)
    for _ in range(3):
        next(replies)
    replies.close()
    pair.reply("go on")


def test_a_reply_cut_off_inside_the_model(engine):
    def cut(_module, inputs):
        if inputs[0].shape[1] == 1:
            raise KeyboardInterrupt

    pair = Pair(engine)
    hook = engine.model.blocks[1].register_forward_pre_hook(cut)
    with pytest.raises(KeyboardInterrupt):
        hear(pair.kept.reply(QUESTION))
    hook.remove()
    pair.reply("go on")
    pair.retry()
