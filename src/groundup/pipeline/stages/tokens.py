"""Documents to token shards."""

from typing import Any

from groundup.data.documents import iter_documents
from groundup.data.shards import Vocabulary, write_shards
from groundup.pipeline.recipe import Recipe
from groundup.pipeline.stage import Context
from groundup.tokenizer.tokenizer import Tokenizer

SHARD_TOKENS = 64_000_000
SPLITS = ("train", "validation")


class TokensStage:
    """Encodes every document, in the Megatron-LM format."""

    name = "tokens"
    needs: tuple[str, ...] = ("data", "tokenizer")
    version = 1
    logs: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()

    def config(self, recipe: Recipe) -> dict[str, Any]:
        """Nothing but the inputs decides."""
        return {"shard_tokens": SHARD_TOKENS}

    def run(self, context: Context) -> dict[str, Any]:
        """Write .bin and .idx for each split and source."""
        documents = context.inputs["data"]
        tokenizer = Tokenizer.load(context.inputs["tokenizer"].folder, context.reporter)
        vocabulary = Vocabulary(tokenizer.hash, tokenizer.vocab_size, tokenizer.eot_id)
        return {
            split: write_shards(
                iter_documents(documents.folder, split),
                tokenizer.encode_bulk,
                context.folder,
                split=split,
                vocabulary=vocabulary,
                shard_tokens=SHARD_TOKENS,
                reporter=context.reporter,
                total_bytes=documents.manifest.facts["splits"][split]["bytes"],
            )
            for split in SPLITS
        }
