from dunrestore.degradations.seeds import generator_for


def drawn(*arguments):
    return generator_for(*arguments).random()


def test_same_subject_same_numbers():
    assert drawn(1, "wall", 3) == drawn(1, "wall", 3)


def test_seed_and_every_part_count():
    values = [drawn(1, "ab", "c"), drawn(1, "a", "bc"), drawn(2, "ab", "c"), drawn(1, "ab"),
              drawn(1, b"ab", 0), drawn(11, "b"), drawn(1, "1b")]  # fmt: skip
    assert len(set(values)) == len(values)


def test_names_that_are_no_utf8_are_fine():
    assert drawn(1, "wall\udcff") != drawn(1, "wall")
