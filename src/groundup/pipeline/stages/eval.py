"""Measure what was built, beside what it has to beat."""

from typing import Any

from groundup.core.device import choose_compute
from groundup.core.files import write_json
from groundup.core.rng import derive_seed
from groundup.data.batches import WindowRows
from groundup.data.documents import iter_documents
from groundup.evaluate.baselines import compressor_bits_per_byte
from groundup.evaluate.bits_per_byte import held_out_score
from groundup.evaluate.ngram import ngram_bits_per_byte
from groundup.model.store import load_model
from groundup.objective.next_token import NextToken
from groundup.pipeline.artifact import Artifact
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
        for stage in ("pretrain", "sft"):
            if stage in context.inputs:
                scores[stage] = self._score_model(context, tokenizer, context.inputs[stage])
        context.reporter.say("  compressors and n-gram")
        held_out = [document.text for document in iter_documents(documents, "validation")]
        scores |= compressor_bits_per_byte(held_out)
        scores["ngram"] = ngram_bits_per_byte(
            (document.text for document in iter_documents(documents, "train")), held_out
        )
        facts = {
            "bits_per_byte": scores,
            "protocol": self._protocol(context),
            "held_out": [document.name for document in iter_documents(documents, "validation")][:1000],
            "bytes": sum(len(text.encode()) for text in held_out),
        }
        write_json(context.folder / SCORES, facts)
        return facts

    def _score_model(self, context: Context, tokenizer: Tokenizer, artifact: Artifact) -> float:
        recipe = context.recipe
        model = load_model(artifact.folder, tokenizer.hash)
        compute = choose_compute(recipe.pretrain.device, recipe.pretrain.precision)
        model.to(compute.device)
        shards = shards_of(context, tokenizer, "validation")
        window, stride = self._window(context)
        rows = WindowRows(
            [shard for found in shards.values() for shard in found], window, tokenizer.pad_id,
            stride=stride, allow_short=True,
        )
        with context.reporter.task(f"  held-out text, {artifact.manifest.stage}", len(rows), "rows") as task:
            score = held_out_score(model, NextToken(token_bytes(tokenizer)), rows, compute, task=task)
        context.reporter.say(f"  {artifact.manifest.stage}: {score.bits_per_byte:.4f} bits/byte")
        return score.bits_per_byte

    def _window(self, context: Context) -> tuple[int, int]:
        window = context.recipe.model.max_seq_len
        return window, context.recipe.eval.stride or window // 2

    def _protocol(self, context: Context) -> str:
        window, stride = self._window(context)
        return (
            f"sum of cross-entropy in bits over all tokens of the held-out documents, end-of-text among them, divided by "
            f"their bytes as UTF-8; windows of {window} tokens that move by {stride}, each token counted once"
        )
