"""A model that fits a text, a machine and a time: rules of thumb, stated, for a first recipe."""

from dataclasses import dataclass

# Share of the measured matrix-product peak that training of small models reaches: 0.37 to 0.45 for 2 to 6 million
# weights on a 2-core CPU (`mfu` in the facts of a run; bench/step.py).
UTILIZATION = 0.4
# Share of the stated minutes that goes to training; the rest reads, tokenizes and measures.
TRAINING_SHARE = 0.8
# Tokens for each weight of a matrix product. Hoffmann et al. 2022 find 20 for the best use of operations. A rule of
# thumb for minutes on a CPU: in 90 s models that saw about 0.3 to 0.6 were the better ones (LOG.md); longer trainings
# of unlike sizes were not compared.
TOKENS_PER_WEIGHT = 1.0
# Passes over the same text after which another brings little (Muennighoff et al. 2023).
MAX_EPOCHS = 6.0
# (layers, width) from small to large; heads are 64 wide.
SHAPES = (
    (4, 128),
    (5, 192),
    (5, 256),
    (6, 320),
    (6, 384),
    (8, 512),
    (10, 640),
    (12, 768),
    (16, 1024),
    (24, 1536),
)
# (bytes of text, vocabulary): a token should occur often enough to be learned.
VOCABULARIES = ((300_000, 512), (1_500_000, 1024), (4_000_000, 2048), (40_000_000, 4096), (400_000_000, 8192))
LARGEST_VOCABULARY = 16384
BYTES_PER_TOKEN = 3.2
# (tokens in all, tokens in a step): a short training needs many small steps more than smooth gradients (LOG.md).
BATCHES = ((4e6, 2048), (1.5e7, 4096), (6e7, 8192), (1e9, 32768))
LARGEST_BATCH = 131072
# Best of three at width 192 (LOG.md); lower in proportion for wider models, which was not measured.
LR, LR_WIDTH = 0.01, 256


@dataclass(frozen=True)
class Sizes:
    """What a recipe needs to know."""

    vocab_size: int
    n_layers: int
    d_model: int
    n_heads: int
    max_seq_len: int
    minutes: float
    batch_tokens: int
    lr: float
    expected_tokens: int
    epochs: float


def choose_sizes(text_bytes: int, minutes: float, peak_flops: float) -> Sizes:
    """The largest shape that sees TOKENS_PER_WEIGHT tokens for each weight in the time.

    A training token costs 6 operations for each weight; what the time allows beyond MAX_EPOCHS passes over the text
    is not used for a smaller model, but for a shorter training.
    """
    seconds = 60 * minutes * TRAINING_SHARE
    vocab_size = next((size for limit, size in VOCABULARIES if text_bytes < limit), LARGEST_VOCABULARY)
    corpus_tokens = max(1.0, text_bytes / BYTES_PER_TOKEN)
    chosen = SHAPES[0]
    for shape in SHAPES:
        if tokens_in(seconds, peak_flops, *shape, vocab_size) >= TOKENS_PER_WEIGHT * weights_of(*shape, vocab_size):
            chosen = shape
    tokens = tokens_in(seconds, peak_flops, *chosen, vocab_size)
    used = min(tokens, MAX_EPOCHS * corpus_tokens)
    layers, width = chosen
    seq_len = 256 if corpus_tokens > 20_000 else 64
    return Sizes(
        vocab_size,
        layers,
        width,
        max(1, width // 64),
        seq_len,
        round(seconds / 60 * used / tokens, 2),
        next((size for limit, size in BATCHES if used < limit), LARGEST_BATCH),
        round(LR * min(1.0, LR_WIDTH / width), 4),
        int(used),
        used / corpus_tokens,
    )


def weights_of(layers: int, width: int, vocab_size: int) -> int:
    """Weights of matrix products: 4 d² for attention and 8 d² for the feed-forward of a layer, and the head."""
    return 12 * layers * width * width + vocab_size * width


def tokens_in(seconds: float, peak_flops: float, layers: int, width: int, vocab_size: int) -> float:
    """Tokens trained on in a time."""
    return seconds * UTILIZATION * peak_flops / (6 * weights_of(layers, width, vocab_size))
