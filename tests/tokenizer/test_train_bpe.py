import json
import signal
import subprocess
import sys
import time

import pytest

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.tokenizer.config import SPECIAL_TOKENS, TokenizerConfig
from groundup.tokenizer.tokenizer import Tokenizer
from groundup.tokenizer.train import sample_pieces, train_bpe

QUIET = Reporter(quiet=True)


def test_the_same_texts_give_the_same_file_byte_for_byte(source, texts):
    again = train_bpe(TokenizerConfig(vocab_size=1024), texts, 10**6, QUIET)
    assert again == source


def test_another_process_with_other_hash_seeds_and_threads_gives_the_same_file(source):
    script = (
        "import sys; sys.path.insert(0, 'tests/tokenizer'); from conftest import *;"
        "config, quiet = TokenizerConfig(vocab_size=1024), Reporter(quiet=True);"
        "sys.stdout.write(train_bpe(config, code_texts(), 10**6, quiet))"
    )
    root = __file__.rsplit("/tests/", 1)[0]
    environment = {"PYTHONHASHSEED": "7", "RAYON_NUM_THREADS": "3", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == source


def test_special_tokens_stand_behind_all_others_and_padding_is_not_the_end_of_text(texts):
    config = TokenizerConfig(vocab_size=600, extra_special_tokens=("<|tool|>",))
    tokenizer = Tokenizer(train_bpe(config, texts, 10**6, QUIET))
    assert tokenizer.vocab_size == 600
    assert tokenizer.special_ids == {content: 595 + i for i, content in enumerate((*SPECIAL_TOKENS, "<|tool|>"))}
    assert tokenizer.pad_id != tokenizer.eot_id


def test_a_text_that_supports_fewer_merges_is_refused_with_the_size_that_it_supports():
    with pytest.raises(UserError) as error:
        train_bpe(TokenizerConfig(vocab_size=4096), ["to be or not to be"], 18, QUIET)
    supported = int(error.value.hint.split("vocab_size = ")[1].split()[0])
    assert f"{supported} tokens, not of 4096" in error.value.message
    made = train_bpe(TokenizerConfig(vocab_size=supported), ["to be or not to be"], 18, QUIET)
    assert Tokenizer(made).vocab_size == supported


def test_an_empty_corpus_is_refused():
    with pytest.raises(UserError, match="supports a vocabulary of 260 tokens"):
        train_bpe(TokenizerConfig(), [], 0, QUIET)


def test_a_sample_is_even_bounded_and_the_same_every_time():
    documents = [f"{i} " * 500 for i in range(2000)]
    total = sum(map(len, documents))
    chosen = [piece for piece, _ in sample_pieces(documents, total, total // 4)]
    assert chosen == [piece for piece, _ in sample_pieces(iter(documents), total, total // 4)]
    assert 0.22 * total < sum(map(len, chosen)) <= total // 4
    first_half = sum(documents.index(piece) < 1000 for piece in chosen)
    assert 0.4 < first_half / len(chosen) < 0.6


def test_one_long_book_is_sampled_within():
    book = "".join(f"{i} " for i in range(10**6))
    pieces = list(sample_pieces([book], len(book), len(book) // 4))
    assert 0.1 * len(book) < sum(size for _, size in pieces) <= len(book) // 4
    assert max(size for _, size in pieces) <= 1 << 16


def test_a_corpus_below_the_bound_is_used_whole():
    assert [piece for piece, _ in sample_pieces(["é", "b", ""], 3, 1 << 16)] == ["é", "b"]


def test_llama_3_words_that_are_tokens_ignore_merges_as_in_llama_cpp(texts):
    source = train_bpe(TokenizerConfig(vocab_size=600, pre_tokenizer="llama-3"), texts, 10**6, QUIET)
    assert json.loads(source)["model"]["ignore_merges"] is True
    assert Tokenizer(source).llama_cpp_name == "llama-bpe"


def test_ctrl_c_stops_training_at_once():
    # Letters without spaces: one long word, which the library takes minutes to merge.
    script = (
        "import random, sys; sys.path.insert(0, 'tests/tokenizer'); from conftest import *;"
        "from groundup.core.interrupt import Interrupts;"
        "text = ''.join(random.Random(0).choices('ACGT', k=3_000_000));"
        "print('ready', flush=True);\n"
        "with Interrupts().installed(): train_bpe(TokenizerConfig(), [text], 3_000_000, Reporter())"
    )
    root = __file__.rsplit("/tests/", 1)[0]
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        time.sleep(1)
        assert run.poll() is None
        run.send_signal(signal.SIGINT)
        _, complaint = run.communicate(timeout=5)
    assert "Stopped: SIGINT" in complaint


def test_an_error_in_the_texts_reaches_the_caller():
    def texts():
        yield "one"
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        train_bpe(TokenizerConfig(), texts(), 100, QUIET)
