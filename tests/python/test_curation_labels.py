"""Ages, genders and races as tables write them."""

import pytest

from agepred_train.archive import DataError
from agepred_train.curation.labels import ages_of, bounds_of, gender_of, parse_ranges, race_of


@pytest.mark.parametrize(
    ("text", "ages"),
    [
        ("23", (23, 23)),
        (" 0 ", (0, 0)),
        ("29.0", (29, 29)),
        ("3-9", (3, 9)),
        ("(25, 32)", (25, 32)),
        ("40 to 49", (40, 49)),
        ("70+", (70, 116)),
        ("more than 70", (70, 116)),
        ("young", (0, 29)),
    ],
)
def test_an_age_may_be_written_in_many_ways(text, ages):
    assert ages_of(text, {"YOUNG": (0, 29)}) == ages


@pytest.mark.parametrize("text", ["", "old", "-3", "23.5", "3-", "nan", "1e2", "23 years"])
def test_what_is_no_age_is_refused(text):
    with pytest.raises(DataError, match="neither a number of years nor a range"):
        ages_of(text, {"YOUNG": (0, 29)})


def test_an_empty_upper_end_is_open():
    assert bounds_of("70", "") == (70, 116)
    assert bounds_of("20", "29.0") == (20, 29)
    with pytest.raises(DataError, match="'x' is no number"):
        bounds_of("x", "3")


def test_codes_become_words_and_words_stay():
    assert [gender_of(text) for text in ("0", "1", "-1", "Male", " female", "f", "")] == [
        "male", "female", "", "male", "female", "female", "",
    ]  # fmt: skip
    assert [race_of(text) for text in ("0", "4", "-1", "Latino_Hispanic", "")] == [
        "White", "other", "", "Latino_Hispanic", "",
    ]  # fmt: skip


def test_numbers_that_are_no_codes_are_refused():
    for word, read in (("2", gender_of), ("-2", gender_of), ("5", race_of), ("17", race_of)):
        with pytest.raises(DataError, match=f"{word} is no code from -1 to"):
            read(word)


def test_classes_are_told_by_options():
    assert parse_ranges(["YOUNG=0-29,middle=30-59", "OLD=60+"]) == {
        "YOUNG": (0, 29),
        "MIDDLE": (30, 59),
        "OLD": (60, 116),
    }


@pytest.mark.parametrize("option", ["YOUNG", "YOUNG=", "=0-3", "YOUNG=9-3", "YOUNG=0-117", "YOUNG=a-b", ""])
def test_options_that_tell_nothing_are_refused(option):
    with pytest.raises(DataError, match="YOUNG=0-29"):
        parse_ranges([option])
