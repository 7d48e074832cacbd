from dunrestore.imaging import tiling
from dunrestore.restoration.tiles import batches


def test_tiles_computed_together_are_of_one_size_and_one_row():
    plan = tiling.plan(1100, 2000, tile=480, overlap=48, multiple=48)
    assert plan.heights == (432, 432, 336)
    assert plan.widths == (480, 480, 480, 480, 288)
    made = list(batches(plan, 3))
    assert [len(batch) for batch in made] == [3, 1, 1] * 3
    assert [tile for batch in made for tile in batch] == list(plan.tiles())
    assert all(len({(tile.row, tile.size) for tile in batch}) == 1 for batch in made)
    assert list(batches(plan, 3, first_row=2)) == made[6:]
