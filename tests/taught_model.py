"""A model small enough to be trained in a test: it knows one text and one conversation by heart."""

from pathlib import Path

import torch
from torch.nn import functional as F

from groundup.core.device import Compute
from groundup.core.progress import Reporter
from groundup.generate.engine import Engine
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.store import save_model
from groundup.model.transformer import Transformer
from groundup.pipeline.artifact import Manifest, checksums, content_hash, write_manifest
from groundup.tokenizer.base import BaseTokenizer
from groundup.tokenizer.config import TokenizerConfig
from groundup.tokenizer.tokenizer import Tokenizer
from groundup.tokenizer.train import train_bpe

TEXT = "the quick brown fox jumps over the lazy dog, naïve café 中文"
QUESTION, ANSWER = "Who's there?", "Nay, answer me: stand, and unfold yourself."
CONVERSATION = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
CPU = Compute(torch.device("cpu"), "fp32")


def small_tokenizer() -> Tokenizer:
    texts = [TEXT, QUESTION, ANSWER] * 2
    size = sum(len(text.encode()) for text in texts)
    return Tokenizer(train_bpe(TokenizerConfig(vocab_size=280), texts, size, Reporter(quiet=True)))


def taught_engine(steps: int = 100, tokenizer: BaseTokenizer | None = None) -> Engine:
    tokenizer = tokenizer or small_tokenizer()
    config = ModelConfig(n_layers=2, d_model=64, n_heads=4, n_kv_heads=2, max_seq_len=160)
    model = initialize(Transformer(config, tokenizer.vocab_size), seed=0)
    assert tokenizer.eos_id is not None
    text = [*tokenizer.encode_prompt(TEXT), tokenizer.eos_id]
    talk, _ = tokenizer.encode_segments(tokenizer.template.render(CONVERSATION))
    inputs_BT = torch.tensor([text[:-1] + talk[:-1]])
    labels_T = torch.tensor(text[1:] + talk[1:])
    documents_BT = torch.tensor([[0] * (len(text) - 1) + [1] * (len(talk) - 1)])
    positions_BT = torch.tensor([[*range(len(text) - 1), *range(len(talk) - 1)]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs_BT, positions_BT, documents_BT)[0], labels_T).backward()
        optimizer.step()
    return Engine(model, tokenizer, CPU)


def write_run(folder: Path, engine: Engine, *stages: str) -> Path:
    """A run folder as a build leaves it, with the model as the result of each of `stages`."""
    for stage in ("tokenizer", *stages):
        part = folder / stage
        part.mkdir(parents=True)
        if stage == "tokenizer":
            engine.tokenizer.save(part)
        else:
            save_model(engine.model, part, engine.tokenizer.hash)
        files = checksums(part, ())
        write_manifest(part, Manifest(stage, "key", content_hash(files, ()), 0.0, {}, {}, files, {}, {}))
    return folder
