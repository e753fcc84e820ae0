import hypothesis.strategies as st
import pytest
from hypothesis import given

from groundup.generate.stop import StopFinder

text = st.text("ab\n", max_size=12)
stops = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3)


def cut(whole: str, stops: list[str]) -> str:
    """The plain definition: cut before the stop that is complete first, the longest of those."""
    for end in range(len(whole) + 1):
        if ending := [stop for stop in stops if whole[:end].endswith(stop)]:
            return whole[: end - max(map(len, ending))]
    return whole


def run(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    finder, passed = StopFinder(stops), ""
    for piece in pieces:
        passed += finder.feed(piece)
        if finder.found:
            return passed, True
    return passed + finder.finish(), False


@given(st.lists(text, max_size=6), stops)
def test_the_text_is_cut_before_the_first_stop_however_it_arrives(pieces, stops):
    whole = "".join(pieces)
    passed, found = run(pieces, stops)
    assert passed == cut(whole, stops)
    assert found == any(stop in whole for stop in stops)


@given(st.lists(text, max_size=6), stops)
def test_no_more_is_held_back_than_could_begin_a_stop(pieces, stops):
    finder, passed, whole = StopFinder(stops), "", ""
    for piece in pieces:
        passed, whole = passed + finder.feed(piece), whole + piece
        if finder.found:
            return
        held = whole[len(passed) :]
        assert whole.startswith(passed)
        assert held == "" or any(stop.startswith(held) for stop in stops)


@pytest.mark.parametrize("pieces", [["Hello\nUs", "er: hi"], ["Hello\n", "User", ":"], ["Hello", "\nUser: hi"]])
def test_a_stop_that_spans_pieces_is_found(pieces):
    assert run(pieces, ["\nUser:"]) == ("Hello", True)
