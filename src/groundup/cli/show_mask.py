"""`groundup show-mask`."""

import sys
from pathlib import Path


def show_mask(run: Path, *, file: Path | None = None, index: int = 0, json: bool = False) -> dict:
    """Show a conversation with the tokens that are trained in color.

    Parameters
    ----------
    run
        Folder of a run with a tokenizer.
    file
        JSONL file of messages; by default the conversations that the run was fine-tuned on.
    index
        Which conversation of the file, from 0.
    json
        Print the result as one line of JSON.
    """
    from rich.console import Console

    from groundup.core.errors import UserError
    from groundup.data.conversations import read_messages
    from groundup.pipeline.artifact import read_artifact
    from groundup.tokenizer.chat import encode_conversation
    from groundup.tokenizer.show_mask import mask_plain, mask_text
    from groundup.tokenizer.tokenizer import Tokenizer

    if read_artifact(run / "tokenizer") is None:
        raise UserError(f"{run} holds no tokenizer", "build the run at least to stage tokenizer")
    tokenizer = Tokenizer.load(run / "tokenizer")
    if file is None and read_artifact(run / "sft") is None:
        raise UserError(f"{run} was not fine-tuned on conversations", "name some with --file MESSAGES.jsonl")
    conversations = read_messages(file or run / "sft" / "conversations-train.jsonl")
    if not 0 <= index < len(conversations):
        raise UserError(f"there is no conversation {index}", f"they count from 0 to {len(conversations) - 1}")
    ids, trained = encode_conversation(tokenizer, conversations[index])
    if not json and sys.stdout.isatty():
        Console().print(mask_text(tokenizer, ids, trained), soft_wrap=True)
    elif not json:
        print(mask_plain(tokenizer, ids, trained))  # noqa: T201
    return {"token_ids": ids.tolist(), "trained": trained.tolist()}
