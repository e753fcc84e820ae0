from groundup.pipeline.locations import locate, nearest_position

SOURCE = """\
name = "x"
[data]
sources = [
  "a",  # a comment
  { path = "b", weight = 2 },
]
[pretrain]
a.b = 1
'quoted key' = 2
[[list]]
x = 1
[[list]]
  y = 2
"""


def test_keys_are_found_where_they_stand():
    found = locate(SOURCE)
    assert found["name",] == (1, 1)
    assert found["data",] == (2, 2)
    assert found["data", "sources", 0] == (4, 3)
    assert found["data", "sources", 1, "weight"] == (5, 17)
    assert found["pretrain", "a", "b"] == (8, 1)
    assert found["pretrain", "quoted key"] == (9, 1)
    assert found["list", 0, "x"] == (11, 1)
    assert found["list", 1, "y"] == (13, 3)


def test_what_is_not_written_is_placed_at_what_is_around_it():
    found = locate(SOURCE)
    assert nearest_position(found, ("pretrain", "lr")) == (7, 2)
    assert nearest_position(found, ("nowhere",)) is None
