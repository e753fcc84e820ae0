"""A conversation with a model: what was said, and how much of it the model can still see."""

from collections.abc import Generator

from groundup.core.errors import UserError
from groundup.generate.config import SamplingConfig
from groundup.generate.engine import Engine, Piece
from groundup.tokenizer.chat import encode_conversation
from groundup.tokenizer.messages import Message

# At least this share of the context is kept free for a reply, if the reply may become so long.
_REPLY_SHARE = 4


class Conversation:
    """Turns of user and assistant, after an optional system message.

    The messages are what counts: each reply is to the tokens of the messages, encoded as in training, and
    what the model has already read of them is not computed again. When they outgrow the context, the oldest
    turns are left out of the model's sight; the system message stays.
    """

    def __init__(self, engine: Engine, config: SamplingConfig, system: str = "") -> None:
        self.engine, self.system = engine, system
        self.turns: list[Message] = []
        self.unseen_turns = 0
        """How many of the oldest questions, with their replies, the model no longer sees."""
        self._prefix = engine.prefix()
        self.configure(config)

    def configure(self, config: SamplingConfig) -> None:
        """Choose tokens in this way from here on. Reply n draws by seed + n."""
        self.config = config
        self._replies = 0

    @property
    def messages(self) -> list[Message]:
        """Everything said so far, the system message first."""
        return self._seen_from(0)

    def reply(self, text: str) -> Generator[Piece, None, None]:
        """Say `text` and stream the reply. What came of a reply that is cut off stays in the conversation.

        Raises UserError, and forgets `text`, if that alone does not fit into the context.
        """
        self.turns.append({"role": "user", "content": text})
        try:
            ids = self._encode()
        except UserError:
            self.turns.pop()
            raise
        said = ""
        seed = self.config.seed + self._replies
        self._replies += 1
        try:
            for piece in self.engine.stream([ids], self.config, prefix=self._prefix, seeds=[seed], replies=True):
                said += piece.text
                yield piece
        finally:
            self.turns.append({"role": "assistant", "content": said})

    def retry(self) -> Generator[Piece, None, None]:
        """Another reply to what was said last, in the place of the last one."""
        yield from self.reply(self.undo())

    def undo(self) -> str:
        """Forget the last turn; returns what the user had said. Raises UserError if there is none."""
        if not self.turns:
            raise UserError("nothing has been said yet", "say something first")
        said = self.turns[-2]["content"]
        del self.turns[-2:]
        self.unseen_turns = min(self.unseen_turns, len(self.turns) // 2)
        return said

    def reset(self) -> None:
        """Forget all turns; the system message stays."""
        self.turns.clear()
        self.unseen_turns = 0

    def _encode(self) -> list[int]:
        """Ids of as much of the conversation as fits, the system message and the last one always."""
        context = self.engine.context
        room = min(self.config.max_new_tokens, context // _REPLY_SHARE)
        start = 2 * self.unseen_turns
        while len(ids := self._frame(start)) + room > context and start < len(self.turns) - 1:
            start += 2
        if len(ids) >= context:
            raise UserError(
                f"the message has {len(ids)} tokens with what frames it, the model reads at most {context}",
                "say it in fewer words, or shorten the system message",
            )
        self.unseen_turns = start // 2
        return ids

    def _frame(self, start: int) -> list[int]:
        messages = self._seen_from(start)
        return encode_conversation(self.engine.tokenizer, messages, add_generation_prompt=True)[0].tolist()

    def _seen_from(self, start: int) -> list[Message]:
        system: list[Message] = [{"role": "system", "content": self.system}] if self.system else []
        return system + self.turns[start:]
