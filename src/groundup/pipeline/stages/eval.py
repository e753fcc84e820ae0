"""Measure what was built, beside what it has to beat."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from groundup.core.device import Compute, choose_compute
from groundup.core.files import write_json
from groundup.core.rng import derive_seed
from groundup.data.batches import WindowRows
from groundup.data.documents import iter_documents
from groundup.evaluate.baselines import compressor_bits_per_byte
from groundup.evaluate.bits_per_byte import held_out_score
from groundup.evaluate.ngram import ngram_bits_per_byte
from groundup.generate.sample import sample_text
from groundup.model.language_model import LanguageModel
from groundup.model.store import load_model
from groundup.objective.next_token import NextToken
from groundup.pipeline.recipe import Recipe
from groundup.pipeline.stage import Context
from groundup.pipeline.stages.pretrain import shards_of
from groundup.pipeline.training import token_bytes
from groundup.tokenizer.tokenizer import Tokenizer

SCORES = "scores.json"


class EvalStage:
    """Bits per byte of the held-out documents: the models of this run, compressors and an n-gram model."""

    name = "eval"
    needs: tuple[str, ...] = ("data", "tokenizer", "tokens", "pretrain", "sft")
    version = 1
    logs: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()

    def config(self, recipe: Recipe) -> dict[str, Any]:
        """The eval table."""
        return recipe.eval.model_dump(mode="json")

    def run(self, context: Context) -> dict[str, Any]:
        """Write scores.json."""
        documents = context.inputs["data"].folder
        tokenizer = Tokenizer.load(context.inputs["tokenizer"].folder, context.reporter)
        scores: dict[str, float] = {}
        compute = choose_compute(context.recipe.pretrain.device, context.recipe.pretrain.precision)
        models = {
            stage: load_model(context.inputs[stage].folder, tokenizer.hash).to(compute.device)
            for stage in ("pretrain", "sft")
            if stage in context.inputs
        }
        for stage, model in models.items():
            scores[stage] = self._score_model(context, tokenizer, model, compute)
            context.reporter.say(f"  {stage}: {scores[stage]:.4f} bits/byte")
        context.reporter.say("  compressors and n-gram")
        scores |= compressor_bits_per_byte(_texts(documents, "validation"))
        scores["ngram"] = ngram_bits_per_byte(_texts(documents, "train"), _texts(documents, "validation"))
        facts = {
            "bits_per_byte": scores,
            "sample": self._sample(context, tokenizer, models["pretrain"], compute),
            "protocol": self._protocol(context),
            "held_out": [document.name for document in islice(iter_documents(documents, "validation"), 1000)],
            "bytes": context.inputs["data"].manifest.facts["splits"]["validation"]["bytes"],
        }
        write_json(context.folder / SCORES, facts)
        return facts

    def _score_model(self, context: Context, tokenizer: Tokenizer, model: LanguageModel, compute: Compute) -> float:
        shards = shards_of(context, tokenizer, "validation")
        window, stride = self._window(context)
        rows = WindowRows(
            [shard for found in shards.values() for shard in found],
            window,
            tokenizer.pad_id,
            stride=stride,
            allow_short=True,
        )
        with context.reporter.task("  held-out text", len(rows), "rows") as task:
            return held_out_score(model, NextToken(token_bytes(tokenizer)), rows, compute, task=task).bits_per_byte

    def _sample(self, context: Context, tokenizer: Tokenizer, model: LanguageModel, compute: Compute) -> str:
        """What the pretrained model writes behind the recipe's prompt; both together."""
        config = context.recipe.eval
        prompt = [tokenizer.eot_id, *tokenizer.encode(config.sample_prompt)]
        seed = derive_seed(context.recipe.seed, "sample")
        sample = sample_text(model, tokenizer, prompt, compute, seed, config.sample_tokens)
        return sample["prompt"] + sample["text"]

    def _window(self, context: Context) -> tuple[int, int]:
        window = context.recipe.model.max_seq_len
        return window, context.recipe.eval.stride or window // 2

    def _protocol(self, context: Context) -> str:
        window, stride = self._window(context)
        return (
            "sum of cross-entropy in bits over all tokens of the held-out documents, end-of-text among them, "
            "divided by their bytes as UTF-8; "
            f"windows of {window} tokens that move by {stride}, each token counted once"
        )


def _texts(documents: Path, split: str) -> Iterator[str]:
    return (document.text for document in iter_documents(documents, split))
