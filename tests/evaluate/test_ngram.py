"""The n-gram baseline: a proper distribution, equal to a plain twin, better than compressors."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from groundup.core.errors import UserError
from groundup.evaluate.baselines import compressor_bits_per_byte
from groundup.evaluate.ngram import NgramModel, ngram_bits_per_byte

TRAIN = [
    "Tomorrow, and tomorrow, and tomorrow, creeps in this petty pace from day to day,\n" * 3,
    "To the last syllable of recorded time; and all our yesterdays have lighted fools the way to death.",
    "Æsop said: der Fuchs und die süßen Trauben. 狐狸和葡萄。",
    "",
    "a",
]
HELD_OUT = ["Out, out, brief candle! Life's but a walking shadow, 狐 and tomorrow", "", "z"]


class PlainModel:
    """Modified Kneser-Ney, one byte and one dictionary at a time."""

    def __init__(self, texts: list[str], order: int) -> None:
        self.order = order
        longest: Counter[bytes] = Counter()
        for text in texts:
            data = b"\xff" * (order - 1) + text.encode()
            longest.update(data[end - order + 1 : end + 1] for end in range(order - 1, len(data)))
        self.counts = {order: dict(longest)}
        for length in range(order - 1, 0, -1):
            self.counts[length] = dict(Counter(gram[1:] for gram in self.counts[length + 1]))

    def discounts(self, length: int) -> list[float]:
        n = [0] + [sum(c == k for c in self.counts[length].values()) for k in (1, 2, 3, 4)]
        if 0 in n[1:4]:
            return [0, 0.5, 0.5, 0.5]
        y = n[1] / (n[1] + 2 * n[2])
        found = [k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)]
        return [0] + [min(max(d, 0.01), k) for k, d in enumerate(found, 1)]

    def probability(self, context: bytes, byte: int, length: int) -> float:
        if length == 0:
            return 1 / 256
        context = context[len(context) - length + 1 :]
        lower = self.probability(context[1:], byte, length - 1)
        followers = {gram[-1]: c for gram, c in self.counts[length].items() if gram[:-1] == context}
        if not followers:
            return lower
        discount = self.discounts(length)
        total = sum(followers.values())
        escape = sum(discount[min(c, 3)] for c in followers.values()) / total
        count = followers.get(byte, 0)
        return (count - discount[min(count, 3)]) / total + escape * lower

    def bits_per_byte(self, texts: list[str]) -> float:
        bits, n_bytes = 0.0, 0
        for text in texts:
            data = b"\xff" * (self.order - 1) + text.encode()
            for end in range(self.order - 1, len(data)):
                bits -= math.log2(self.probability(data[:end], data[end], self.order))
                n_bytes += 1
        return bits / n_bytes


@pytest.mark.parametrize("order", [1, 2, 5, 8])
def test_the_packed_model_equals_a_twin_in_plain_dictionaries(order: int):
    twin = PlainModel(TRAIN, order)
    assert ngram_bits_per_byte(TRAIN, HELD_OUT, order) == pytest.approx(twin.bits_per_byte(HELD_OUT), rel=1e-12)


@pytest.mark.parametrize("context", [b"", b"t", b"tomorro", b"and tomorrow", "süßen".encode()[:4], b"\x00\xfe" * 9])
@pytest.mark.parametrize("order", [1, 3, 8])
def test_the_probabilities_of_the_256_bytes_sum_to_one_and_none_is_zero(context: bytes, order: int):
    distribution = NgramModel(TRAIN, order).distribution(context)
    assert distribution.sum() == pytest.approx(1, abs=1e-12)
    assert distribution.min() > 0


def test_the_probability_of_a_text_is_the_product_of_its_distributions():
    model = NgramModel(TRAIN, 4)
    text = HELD_OUT[0].encode()
    stepwise = [model.distribution(text[:i])[text[i]] for i in range(len(text))]
    np.testing.assert_allclose(model.probability([text]), stepwise, rtol=1e-12)


def test_documents_do_not_see_each_other():
    together = NgramModel(TRAIN, 5).probability([b"to d", b"ay"])
    apart = [NgramModel(TRAIN, 5).probability([part]) for part in (b"to d", b"ay")]
    np.testing.assert_array_equal(together, np.concatenate(apart))


def test_training_stops_at_the_limit_of_bytes():
    cut = ngram_bits_per_byte([TRAIN[0][:100]], HELD_OUT, 5)
    assert ngram_bits_per_byte(TRAIN, HELD_OUT, 5, max_train_bytes=100) == cut


@pytest.mark.parametrize(("train", "held_out"), [([], HELD_OUT), ([""], HELD_OUT), (TRAIN, []), (TRAIN, [""])])
def test_no_text_is_an_error_that_says_so(train: list[str], held_out: list[str]):
    with pytest.raises(UserError, match="text is empty"):
        ngram_bits_per_byte(train, held_out)


@pytest.mark.parametrize("order", [0, 9])
def test_an_order_that_does_not_fit_is_refused(order: int):
    with pytest.raises(ValueError, match="between 1 and 8"):
        NgramModel(TRAIN, order)


@pytest.fixture
def plays() -> str:
    path = Path(__file__).parents[3] / "shared" / "data" / "corpora" / "tinyshakespeare.txt"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    return path.read_text()


def test_it_beats_the_compressors_on_the_end_of_a_text_whose_beginning_it_has_read(plays: str):
    train, held_out = plays[:1_000_000], plays[1_000_000:]
    assert ngram_bits_per_byte([train], [held_out]) < min(compressor_bits_per_byte([held_out]).values())
