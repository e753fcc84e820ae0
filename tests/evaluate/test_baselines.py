"""The compressor baselines: the figure is that of the whole text, whatever its cut into texts."""

import bz2
import lzma

import pytest

from groundup.core.errors import UserError
from groundup.evaluate.baselines import compressor_bits_per_byte

TEXTS = [f"Scene {n}. Enter the {n % 7}th witch, naïve and süß.\n" for n in range(500)]


def test_the_figure_is_the_length_of_the_compressed_whole():
    whole = "".join(TEXTS).encode()
    found = compressor_bits_per_byte(iter(TEXTS))
    assert found == {
        "xz": 8 * len(lzma.compress(whole, preset=9 | lzma.PRESET_EXTREME)) / len(whole),
        "bzip2": 8 * len(bz2.compress(whole, 9)) / len(whole),
    }


def test_no_text_is_an_error_that_says_so():
    with pytest.raises(UserError, match="held-out text is empty"):
        compressor_bits_per_byte(["", ""])
