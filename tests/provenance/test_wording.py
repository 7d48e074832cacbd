import pytest

from dunrestore.provenance.wording import deed, share_changed


@pytest.mark.parametrize(
    ("filled", "cleaned", "words"),
    [
        (True, False, "losses filled"),
        (False, True, "the whole picture cleaned"),
        (True, True, "losses filled and the whole picture cleaned"),
        (False, False, "nothing changed"),
    ],
)
def test_what_was_done(filled, cleaned, words):
    assert deed(filled=filled, cleaned=cleaned) == words


@pytest.mark.parametrize(
    ("percent", "words"),
    [(0, "0.00"), (1e-7, "less than 0.01"), (0.01, "0.01"), (12.345, "12.35"), (100, "100.00")],
)
def test_only_none_at_all_is_nothing(percent, words):
    assert share_changed(percent) == words
