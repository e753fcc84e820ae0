"""What pretraining and fine-tuning share: from a config, rows of tokens and a model to a trained model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from groundup.core.device import Compute, choose_compute, measure_matmul_peak
from groundup.core.errors import UserError
from groundup.core.memory import keep_freed_memory
from groundup.core.progress import human_number
from groundup.core.rng import derive_seed
from groundup.data.batches import Batches, Rows
from groundup.evaluate.bits_per_byte import held_out_score
from groundup.generate.sample import sample_text
from groundup.model.count import count_parameters, flops_per_token
from groundup.model.language_model import LanguageModel
from groundup.model.mup import learning_rate_factors
from groundup.model.store import save_model
from groundup.objective.next_token import NextToken
from groundup.optim.optimizer import Optimizer
from groundup.pipeline.stage import Context
from groundup.tokenizer.tokenizer import Tokenizer
from groundup.train.budget import Plan, Probe, count_steps, rows_of_batch, rows_of_micro_batch
from groundup.train.config import TrainConfig
from groundup.train.loop import Hooks, Speed, Trainer
from groundup.train.step import Stepper

LOGS = ("metrics.jsonl", "samples.jsonl")
SCRATCH = ("checkpoints",)
"""Checkpoints serve to go on; the finished weights are model.safetensors."""


@dataclass(frozen=True)
class Lesson:
    """What to learn from."""

    config: TrainConfig
    train: Sequence[tuple[Rows, float]]
    """Rows of each source, and its weight in the mix."""
    validation: Rows
    prompt: list[int]
    """Ids that samples continue."""
    prompt_text: str
    """What they stand for, as a person would type it."""


def token_bytes(tokenizer: Tokenizer) -> np.ndarray:
    """Length of each token in bytes of text; special tokens are not text."""
    special = set(tokenizer.special_ids.values())
    lengths = [0 if i in special else len(tokenizer.token_bytes(i)) for i in range(tokenizer.vocab_size)]
    return np.array(lengths, dtype=np.int64)


def sequence_length(config: TrainConfig, model: LanguageModel) -> int:
    """Tokens of a row. Raises UserError if the model cannot hold them."""
    longest = model.config.max_seq_len
    if config.seq_len > longest:
        raise UserError(
            f"seq_len {config.seq_len} is longer than the model's max_seq_len {longest}",
            "raise model.max_seq_len or lower seq_len",
        )
    return config.seq_len or longest


def train_model(context: Context, model: LanguageModel, lesson: Lesson, tokenizer: Tokenizer) -> dict[str, Any]:
    """Train `model` in the context's folder and write it there; returns facts."""
    keep_freed_memory()
    config = lesson.config
    compute = choose_compute(config.device, config.precision)
    model.to(compute.device)
    objective = NextToken(token_bytes(tokenizer))
    factors = learning_rate_factors(model, orthogonalized=config.optimizer == "muon")
    stepper = Stepper(model, objective, Optimizer(model, config, factors), compute)

    def evaluate() -> dict[str, float]:
        score = held_out_score(model, objective, lesson.validation, compute, config.evaluation_rows)
        return {"validation_loss": score.loss, "validation_bits_per_byte": score.bits_per_byte}

    def sample(step: int) -> dict[str, str]:
        seed = derive_seed(context.recipe.seed, "sample", step)
        written = sample_text(model, tokenizer, lesson.prompt, compute, seed)
        return written | {"prompt": lesson.prompt_text}

    hooks = Hooks(evaluate, sample)
    batches, plan = _plan(context, lesson, stepper, hooks)
    peak = context.decisions.once("peak_flops", lambda: measure_matmul_peak(compute))
    speed = Speed(flops_per_token(model.config, model.vocab_size, plan.seq_len), peak)
    _announce(context, model, plan, compute, batches)

    trainer = Trainer(stepper, batches, config, plan, context.folder)
    seed = derive_seed(context.recipe.seed, "train")
    seconds = trainer.run(seed, hooks, speed, context.reporter, context.interrupts)
    save_model(model, context.folder, tokenizer.hash)
    return _facts(model, plan, compute, speed, seconds) | evaluate()


def _plan(context: Context, lesson: Lesson, stepper: Stepper, hooks: Hooks) -> tuple[Batches, Plan]:
    model, config = stepper.model, lesson.config
    assert isinstance(model, LanguageModel)
    seq_len = sequence_length(config, model)
    rows = rows_of_batch(config, seq_len)
    batches = Batches(lesson.train, rows, derive_seed(context.recipe.seed, "batches"))
    micro_rows = rows_of_micro_batch(config, rows, seq_len, model.vocab_size)
    probe = Probe(stepper, batches, micro_rows, config.evaluations, lambda: (hooks.evaluate(), hooks.sample(0)))
    steps = count_steps(config, rows * seq_len, batches.steps_per_epoch, context.decisions, probe)
    return batches, Plan(steps, rows, micro_rows, seq_len)


def _announce(context: Context, model: LanguageModel, plan: Plan, compute: Compute, batches: Batches) -> None:
    epochs = plan.steps / batches.steps_per_epoch
    parameters = count_parameters(model.config, model.vocab_size).total
    context.reporter.say(
        f"  {human_number(parameters)} parameters on {compute.device}, {compute.precision}, "
        f"{torch.get_num_threads()} threads; {plan.steps} steps of {plan.tokens_per_step} tokens, {epochs:.1f} epochs"
    )


def _facts(model: LanguageModel, plan: Plan, compute: Compute, speed: Speed, seconds: float) -> dict[str, Any]:
    tokens = plan.steps * plan.tokens_per_step
    counts = count_parameters(model.config, model.vocab_size)
    return {
        "parameters": counts.total,
        "active_parameters": counts.active,
        "embedding_parameters": counts.parts.embedding + counts.parts.head,
        "steps": plan.steps,
        "tokens": tokens,
        "train_seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "peak_flops": speed.peak_flops,
        "mfu": speed.mfu(tokens / seconds),
        "device": str(compute.device),
        "precision": compute.precision,
        "threads": torch.get_num_threads(),
    }
