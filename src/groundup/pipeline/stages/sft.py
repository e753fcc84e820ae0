"""A model that continues text to one that answers."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from groundup.core.errors import UserError
from groundup.core.files import sha256_of, write_text
from groundup.data.batches import PackedRows
from groundup.data.conversations import Conversation, dialogues, read_messages
from groundup.data.documents import iter_documents
from groundup.model.store import load_model
from groundup.pipeline.recipe import Recipe, SftConfig
from groundup.pipeline.stage import Context
from groundup.pipeline.training import LOGS, SCRATCH, Lesson, sequence_length, train_model
from groundup.tokenizer.chat import encode_conversation
from groundup.tokenizer.tokenizer import Tokenizer

CONVERSATIONS = "conversations-{split}.jsonl"
SAMPLE_PROMPT = "Who's there?"


class SftStage:
    """Fine-tunes on conversations; only what the assistant says, and its end of turn, is learned."""

    name = "sft"
    needs: tuple[str, ...] = ("data", "tokenizer", "pretrain")
    version = 1
    logs: tuple[str, ...] = LOGS
    scratch: tuple[str, ...] = SCRATCH

    def config(self, recipe: Recipe) -> dict[str, Any] | None:
        """The sft table, and the content of the conversations that it names."""
        if recipe.sft is None:
            return None
        path = Path(recipe.sft.conversations.path)
        named = recipe.sft.conversations.path and path.is_file()
        return recipe.sft.model_dump(mode="json") | {"content": sha256_of(path) if named else None}

    def run(self, context: Context) -> dict[str, Any]:
        """Write the conversations, model.safetensors, config.json and the record of the training."""
        config = context.recipe.sft
        assert config is not None
        tokenizer = Tokenizer.load(context.inputs["tokenizer"].folder, context.reporter)
        model = load_model(context.inputs["pretrain"].folder, tokenizer.hash)
        seq_len = sequence_length(config, model)
        splits = _conversations(context, config)
        rows, facts = {}, {}
        for split, conversations in splits.items():
            _write(context.folder / CONVERSATIONS.format(split=split), conversations)
            rows[split], facts[split] = _pack(conversations, tokenizer, seq_len)
        question = config.sample_prompt or SAMPLE_PROMPT
        messages = [{"role": "user", "content": question}]
        prompt, _ = encode_conversation(tokenizer, messages, add_generation_prompt=True)
        lesson = Lesson(config, [(rows["train"], 1.0)], rows["validation"], prompt.tolist(), question)
        return train_model(context, model, lesson, tokenizer) | facts["train"]


def _conversations(context: Context, config: SftConfig) -> dict[str, list[Conversation]]:
    origin = config.conversations
    if origin.dialogue:
        folder = context.inputs["data"].folder
        rule = origin.dialogue
        splits = {s: list(dialogues(iter_documents(folder, s), rule)) for s in ("train", "validation")}
        hint = "check sft.conversations.dialogue.speaker against a line of your text"
    else:
        found = read_messages(Path(origin.path))
        border = len(found) - max(1, round(origin.validation_fraction * len(found)))
        splits = {"train": found[:border], "validation": found[border:]}
        hint = "give at least two conversations"
    for split, conversations in splits.items():
        if not conversations:
            raise UserError(f"there is no conversation for {split}", hint)
    return splits


def _write(path: Path, conversations: Iterable[Conversation]) -> None:
    write_text(path, "".join(json.dumps({"messages": c}, ensure_ascii=False) + "\n" for c in conversations))


def _pack(conversations: list[Conversation], tokenizer: Tokenizer, seq_len: int) -> tuple[PackedRows, dict[str, Any]]:
    encoded = [encode_conversation(tokenizer, conversation) for conversation in conversations]
    tokens = np.concatenate([ids for ids, _ in encoded])
    trained = np.concatenate([mask for _, mask in encoded])
    lengths = [len(ids) for ids, _ in encoded]
    facts = {
        "conversations": len(conversations),
        "conversation_tokens": len(tokens),
        "trained_tokens": int(trained.sum()),
        "cut_conversations": int(sum(length > seq_len + 1 for length in lengths)),
    }
    return PackedRows(tokens, trained, lengths, seq_len, tokenizer.pad_id), facts
