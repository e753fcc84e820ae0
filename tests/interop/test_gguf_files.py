import random
import struct

import numpy as np
import pytest
import torch
from gguf import GGUFReader, GGUFWriter, quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf_models import QUIET, rewritten, written

from groundup.core.errors import UserError
from groundup.interop.gguf import load_gguf
from groundup.interop.gguf.header import read_header
from groundup.interop.gguf.quantized import decode, encode


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return written(tmp_path_factory.mktemp("gguf"))


@pytest.mark.parametrize("kind", ["f32", "q4_0"])
def test_the_header_is_what_the_library_reads(kind, tmp_path):
    path = written(tmp_path, "mixtral", kind)
    header, reader = read_header(path), GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert header.metadata == fields
    assert len(header.tensors) == len(reader.tensors)
    for theirs in reader.tensors:
        ours = header.tensors[theirs.name]
        assert ours.shape == tuple(theirs.shape[::-1].tolist())
        assert (ours.type, ours.offset, ours.n_bytes) == (theirs.tensor_type, theirs.data_offset, theirs.n_bytes)


@pytest.mark.parametrize(
    "name", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
)
def test_every_quantization_of_the_library_is_read(name, tmp_path):
    type_ = GGMLQuantizationType[name]
    block, size = GGML_QUANT_SIZES[type_]
    values = np.random.default_rng(0).normal(size=(6, 512)).astype(np.float32)
    if name.endswith("_K"):  # which the library reads but does not write: any bytes mean some numbers
        halves = np.random.default_rng(0).integers(0x2000, 0x3800, (6, 512 // block * size // 2), dtype=np.uint16)
        stored = halves.view(np.uint8)
    else:
        stored = quants.quantize(values, type_)
    writer = GGUFWriter(tmp_path / "one.gguf", "llama")
    writer.add_tensor("t", stored, raw_shape=stored.shape if stored.dtype == np.uint8 else None, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read_header(tmp_path / "one.gguf").tensors["t"]
    assert (found.shape, found.type) == ((6, 512), type_)
    decoded = decode(np.frombuffer(stored.tobytes(), np.uint8).copy(), found.shape, type_).numpy()
    assert np.array_equal(decoded, quants.dequantize(stored, type_).reshape(6, 512))
    if name in ("F32", "F16", "BF16", "Q8_0", "Q4_0"):
        assert np.array_equal(encode("t", torch.from_numpy(values), type_).view(np.uint8), stored.view(np.uint8))


def refused(path, match):
    with pytest.raises(UserError, match=match) as error:
        load_gguf(path, QUIET)
    assert "\n" not in str(error.value) and len(error.value.message) < 1500


def test_what_is_no_gguf_file_is_refused(tmp_path):
    refused(tmp_path / "none.gguf", "does not exist")
    (tmp_path / "empty.gguf").touch()
    refused(tmp_path / "empty.gguf", "not a GGUF file")
    (tmp_path / "other.gguf").write_bytes(b"PK\x03\x04 a zip file")
    refused(tmp_path / "other.gguf", "not a GGUF file")
    (tmp_path / "short.gguf").write_bytes(b"GGUF\x03")
    refused(tmp_path / "short.gguf", "is truncated")
    for version, match in ((1, "GGUF version 1"), (4, "GGUF version 4"), (0x03000000, "big-endian")):
        (tmp_path / "version.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", version, 0, 0))
        refused(tmp_path / "version.gguf", match)


def test_a_file_cut_off_anywhere_is_refused(llama, tmp_path):
    data = llama.read_bytes()
    path = tmp_path / "cut.gguf"
    for end in (*random.Random(0).sample(range(4, 12_000), 60), len(data) - 1, len(data) - 5000):
        path.write_bytes(data[:end])
        refused(path, "is truncated")


def test_no_damage_to_the_header_does_anything_but_be_refused_or_read(llama, tmp_path):
    data, path, draw = llama.read_bytes(), tmp_path / "damaged.gguf", random.Random(0)
    end = min(tensor.offset for tensor in read_header(llama).tensors.values())
    refusals = 0
    for _ in range(300):
        spoiled = bytearray(data)
        for _ in range(draw.choice((1, 1, 4))):
            spoiled[draw.randrange(4, end)] = draw.choice((0, 1, 0x7F, 0xFF, draw.randrange(256)))
        path.write_bytes(spoiled)
        try:
            load_gguf(path, QUIET)
        except UserError:
            refusals += 1
    assert refusals > 20


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"general.architecture": "mamba"}, "architecture 'mamba', which is not supported.*deepseek2, gemma2"),
        ({"general.architecture": None}, "architecture 'None'"),
        ({"general.type": "adapter"}, "holds no model but 'adapter'"),
        ({"split.count": 3}, "one of 3 files of a split model.*--merge"),
        ({"llama.block_count": None}, "has no llama.block_count"),
        ({"llama.block_count": "two"}, "llama.block_count is 'two', not of type int"),
        ({"llama.block_count": 3}, "blk.2.attn_norm.weight is missing"),
        ({"llama.attention.head_count": [4, 4]}, "head_count is one value for each layer"),
        ({"llama.attention.head_count": 3}, "impossible model|where a head has"),
        ({"llama.attention.head_count_kv": 3}, "impossible model: n_heads 4 is not a multiple of n_kv_heads 3"),
        ({"llama.attention.key_length": 32}, "value_length is 16, where a head has 32"),
        ({"llama.attention.clamp_kqv": 8.0}, "not understood: llama.attention.clamp_kqv"),
        ({"llama.attention.sliding_window": 16}, "sliding_window is set"),
        ({"llama.rope.scaling.type": "longrope"}, "rope.scaling.type is 'longrope'; supported are none, linear"),
        ({"llama.rope.scaling.attn_factor": 1.2}, "attn_factor is 1.2 without yarn"),
        ({"llama.rope.scaling.type": "yarn", "llama.rope.scaling.yarn_beta_fast": 16.0}, "computes with 32.0"),
        ({"llama.expert_count": 4}, "has no llama.expert_used_count"),
        ({"llama.rope.freq_base": 0.5}, "impossible model: Input should be greater than 1"),
    ],
)
def test_metadata_that_is_wrong_or_not_understood_is_refused_by_name(llama, values, match):
    refused(rewritten(llama, values), match)


def test_metadata_that_changes_nothing_is_no_hindrance(llama):
    same = {
        "llama.rope.scaling.type": "none",
        "llama.rope.scaling.finetuned": False,
        "llama.attention.sliding_window": 0,
        "llama.expert_count": 0,
        "general.languages": ["en"],
    }
    assert load_gguf(rewritten(llama, same), QUIET).model.config == load_gguf(llama, QUIET).model.config


def test_tensors_that_do_not_fit_are_listed_all_at_once(llama):
    tensors = {
        "blk.0.attn_q.weight": None,
        "blk.1.ffn_up.weight": np.zeros((95, 64), np.float32),
        "blk.0.attn_sub_norm.weight": np.ones(64, np.float32),
    }
    found = rewritten(llama, tensors=tensors)
    refused(found, r"attn_q.weight is missing; blk.0.attn_sub_norm.weight has no place; .*\[95, 64\], not \[96, 64\]")
    many = {f"blk.0.extra_{i}.weight": np.ones(4, np.float32) for i in range(25)}
    refused(rewritten(llama, tensors=many), "and 15 more")


def test_factors_that_are_not_those_of_llama_3_are_refused(llama):
    factors = np.linspace(1, 9, 8).astype(np.float32) ** 2
    refused(rewritten(llama, tensors={"rope_freqs.weight": factors}), "holds factors that are not Llama 3's")
    load_gguf(rewritten(llama, tensors={"rope_freqs.weight": np.ones(8, np.float32)}), QUIET)


def test_a_vocabulary_larger_than_the_embedding_is_refused_at_import(llama):
    tokens = read_header(llama).metadata["tokenizer.ggml.tokens"]
    types = read_header(llama).metadata["tokenizer.ggml.token_type"]
    longer = {"tokenizer.ggml.tokens": [*tokens, "more"], "tokenizer.ggml.token_type": [*types, 1]}
    refused(rewritten(llama, longer), "vocabulary of 281 tokens but embeddings for 280")


def test_a_quantization_that_cannot_be_read_is_refused_by_name(llama, tmp_path):
    data = bytearray(llama.read_bytes())
    at = data.index(b"blk.0.attn_q.weight") + len("blk.0.attn_q.weight") + 4 + 16
    assert struct.unpack_from("<I", data, at) == (0,)  # F32
    path = tmp_path / "other.gguf"
    for number, match in ((4, "quantization number 4, which is not known"), (26, "type I32, which cannot be read")):
        struct.pack_into("<I", data, at, number)
        path.write_bytes(data)
        refused(path, match)
