"""Messages of a conversation, checked."""

from collections.abc import Mapping, Sequence

from groundup.core.errors import UserError

Message = Mapping[str, str]
"""`role` and `content`, as OpenAI's and Hugging Face's interfaces have it."""

ROLES = ("system", "user", "assistant", "tool")


def check_messages(messages: Sequence[Message]) -> None:
    """Raise UserError naming the first message that is malformed."""
    if isinstance(messages, str) or not isinstance(messages, Sequence) or not messages:
        raise UserError("a conversation is a list of at least one message", "give role and content of each")
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
            found = ", ".join(map(str, message)) if isinstance(message, Mapping) else type(message).__name__
            raise UserError(f"message {i} has {found or 'nothing'}", "it needs role and content, and no more")
        if message["role"] not in ROLES:
            raise UserError(f"message {i} has role {message['role']!r}", f"known roles: {', '.join(ROLES)}")
        if not isinstance(message["content"], str):
            raise UserError(f"the content of message {i} is not text", "give one string")
        if message["role"] == "system" and i > 0:
            raise UserError(f"message {i} is a system message", "only message 0 can be that")
