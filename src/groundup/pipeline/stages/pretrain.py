"""Token shards to a model that continues text."""

from typing import Any

from groundup.core.rng import derive_seed
from groundup.data.batches import WindowRows
from groundup.data.shards import TokenShard, open_shards
from groundup.model.build import build_model
from groundup.model.initialize import initialize
from groundup.pipeline.recipe import Recipe
from groundup.pipeline.stage import Context
from groundup.pipeline.training import LOGS, SCRATCH, Lesson, sequence_length, train_model
from groundup.tokenizer.tokenizer import Tokenizer


class PretrainStage:
    """Trains a new model on the text."""

    name = "pretrain"
    needs: tuple[str, ...] = ("tokenizer", "tokens")
    version = 1
    logs: tuple[str, ...] = LOGS
    scratch: tuple[str, ...] = SCRATCH

    def config(self, recipe: Recipe) -> dict[str, Any]:
        """Architecture, training, and the weights of the sources in the mix."""
        weights = {source.label: source.weight for source in recipe.data.sources}
        return {
            "model": recipe.model.model_dump(mode="json"),
            "train": recipe.pretrain.model_dump(mode="json"),
            "weights": weights,
        }

    def run(self, context: Context) -> dict[str, Any]:
        """Write model.safetensors, config.json and the record of the training."""
        recipe = context.recipe
        tokenizer = Tokenizer.load(context.inputs["tokenizer"].folder, context.reporter)
        model = initialize(build_model(recipe.model, tokenizer.vocab_size), derive_seed(recipe.seed, "initialize"))
        seq_len = sequence_length(recipe.pretrain, model)
        weights = {source.label: source.weight for source in recipe.data.sources}
        train = shards_of(context, tokenizer, "train")
        validation = [shard for found in shards_of(context, tokenizer, "validation").values() for shard in found]
        lesson = Lesson(
            config=recipe.pretrain,
            train=[
                (WindowRows(found, seq_len, tokenizer.pad_id, name=name), weights[name])
                for name, found in train.items()
            ],
            validation=WindowRows(validation, seq_len, tokenizer.pad_id, name="validation", allow_short=True),
            prompt=[tokenizer.eot_id, *tokenizer.encode(recipe.pretrain.sample_prompt)],
            prompt_text=recipe.pretrain.sample_prompt,
        )
        return train_model(context, model, lesson, tokenizer)


def shards_of(context: Context, tokenizer: Tokenizer, split: str) -> dict[str, list[TokenShard]]:
    """The token shards of a split, by source."""
    folder = context.inputs["tokens"].folder
    return open_shards(folder, split, expect_tokenizer=tokenizer.hash, vocab_size=tokenizer.vocab_size)
