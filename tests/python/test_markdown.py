"""Tables in Markdown, read back by a parser of its own."""

import pytest

from agepred_train.markdown import table


def cells(text):
    """Rows of cells, without the line under the head."""
    lines = text.splitlines()
    assert set(lines[1]) <= set("|- ")
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in [lines[0], *lines[2:]]]


@pytest.mark.parametrize("rows", [[], [["1"]], [["1"], ["2"], ["3"]]])
def test_each_row_is_a_line_under_the_head(rows):
    text = table(["figure"], rows)
    assert len(text.splitlines()) == 2 + len(rows)
    assert cells(text) == [["figure"], *rows]
    assert not text.endswith("\n")


def test_all_lines_have_the_columns_of_the_head():
    """Whatever is in the cells: nothing, spaces, or as much as a line."""
    rows = [["", "a b", "x" * 90], ["é", "5.7 %", "-"]]
    text = table(["", "int8", "fp32"], rows)
    assert {line.count("|") for line in text.splitlines()} == {4}
    assert all(line.startswith("| ") and line.endswith(" |") for line in text.splitlines())
    assert cells(text) == [["", "int8", "fp32"], *rows]


def test_rows_may_come_one_by_one():
    assert table(["a", "b"], (pair for pair in [("1", "2"), ("3", "4")])).count("\n") == 3


def test_bars_in_a_cell_end_no_cell():
    """A detector may be called anything; the name stands at the head of its column."""
    text = table(["", "a|b"], [["x | y", "1"]])
    assert text.splitlines()[0] == r"|  | a\|b |"
    assert text.splitlines()[2] == r"| x \| y | 1 |"


def test_line_breaks_in_a_cell_end_no_row():
    assert table(["a"], [["one\ntwo"]]).splitlines()[2:] == ["| one two |"]
