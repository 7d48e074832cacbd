import os
from pathlib import Path

import pytest

from dunrestore.errors import FileAccessError, InputError, NothingToDoError, UsageError
from dunrestore.restoration.batch.jobs import plan_jobs
from dunrestore.restoration.batch.mask_outputs import with_mask_outputs


@pytest.fixture
def tree(tmp_path):
    for name in ("in/a.png", "in/b.tif", "in/notes.txt", "in/deep/a.png", "in/deep/c.JPG"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def targets(jobs, root):
    return [job.target.relative_to(root).as_posix() for job in jobs]


def test_a_file_goes_to_a_file(tree):
    (job,) = plan_jobs([tree / "in/a.png"], tree / "out.png")
    assert job.target == tree / "out.png"


def test_files_go_to_a_folder(tree):
    jobs = plan_jobs([tree / "in/a.png", tree / "in/b.tif"], tree / "out")
    assert targets(jobs, tree) == ["out/a.png", "out/b.tif"]


def test_a_single_file_goes_into_a_folder_that_exists(tree):
    (tree / "out.png").mkdir()
    (job,) = plan_jobs([tree / "in/a.png"], tree / "out.png")
    assert job.target == tree / "out.png/a.png"


def test_a_folder_keeps_its_tree(tree):
    flat = plan_jobs([tree / "in"], tree / "out")
    deep = plan_jobs([tree / "in"], tree / "out", recursive=True)
    assert targets(flat, tree) == ["out/a.png", "out/b.tif"]
    assert targets(deep, tree) == ["out/a.png", "out/b.tif", "out/deep/a.png", "out/deep/c.JPG"]


def test_without_an_output_results_lie_beside_the_inputs(tree):
    (job,) = plan_jobs([tree / "in/a.png"], None)
    assert targets([job], tree) == ["in/a-restored.png"]


def test_suffix_and_extension_make_the_names(tree):
    jobs = plan_jobs([tree / "in"], tree / "out", suffix="_r", extension=".tif")
    assert targets(jobs, tree) == ["out/a_r.tif", "out/b_r.tif"]


def test_a_suffix_that_could_not_be_heeded_is_refused(tree):
    with pytest.raises(UsageError, match="would replace the inputs"):
        plan_jobs([tree / "in/a.png"], None, suffix="")
    with pytest.raises(UsageError, match=r"out\.png: --suffix is for"):
        plan_jobs([tree / "in/a.png"], tree / "out.png", suffix="_r")
    (job,) = plan_jobs([tree / "in/a.png"], tree / "out.png", suffix="")
    assert job.target == tree / "out.png"
    (job,) = plan_jobs([tree / "in/a.png"], None, suffix="_r")
    assert job.target == tree / "in/a_r.png"


@pytest.mark.parametrize("name", ["in/notes.txt", "/dev/null"])
def test_what_is_no_folder_is_no_place_for_outputs(tree, name):
    with pytest.raises(FileAccessError, match="this is no folder, and no name of a picture"):
        plan_jobs([tree / "in/a.png"], tree / name)


def test_outputs_inside_the_input_folder_are_not_inputs(tree):
    done = tree / "in/out/a.png"
    done.parent.mkdir()
    done.write_bytes(b"x")
    jobs = plan_jobs([tree / "in"], tree / "in/out", recursive=True)
    assert done not in [job.source for job in jobs]
    assert len(jobs) == 4


def test_an_output_folder_inside_the_inputs_is_known_however_it_is_spelt(tree, monkeypatch):
    (tree / "in/out").mkdir()
    (tree / "in/out/old.png").write_bytes(b"x")
    (tree / "link").symlink_to(tree / "in")
    monkeypatch.chdir(tree)
    for folder, output in (
        (tree / "in", Path("in/out")),
        (Path("in"), tree / "in/out"),
        (Path("in"), Path("in/deep/../out")),
        (tree / "link", tree / "in/out"),
        (tree / "in", tree / "link/out"),
    ):
        names = [job.source.name for job in plan_jobs([folder], output, recursive=True)]
        assert names == ["a.png", "b.tif", "a.png", "c.JPG"]


def test_what_earlier_runs_made_is_no_input_of_another_folder(tree, caplog):
    for name in ("in/old/a.png", "in/old/a.png.dunrestore.json"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"x")
    jobs = plan_jobs([tree / "in"], tree / "new", recursive=True)
    assert tree / "in/old/a.png" not in [job.source for job in jobs]
    assert "pictures that earlier runs made are left out (1)" in caplog.text
    (job,) = plan_jobs([tree / "in/old/a.png"], tree / "new")  # if it is named
    assert job.source == tree / "in/old/a.png"


def test_a_folder_that_cannot_be_read_is_refused(tree, monkeypatch):
    scan = os.scandir

    def refusing(path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert len(plan_jobs([tree / "in"], tree / "out")) == 2  # it is not descended into
    with pytest.raises(FileAccessError, match="deep: permission denied"):
        plan_jobs([tree / "in"], tree / "out", recursive=True)


def test_what_other_systems_leave_is_no_picture(tree):
    for name in ("in/._a.png", "in/@eaDir/a.png/SYNOPHOTO_THUMB_XL.jpg"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"x")
    jobs = plan_jobs([tree / "in"], tree / "out", recursive=True)
    assert targets(jobs, tree) == ["out/a.png", "out/b.tif", "out/deep/a.png", "out/deep/c.JPG"]


def test_an_output_that_is_an_input_is_refused(tree):
    with pytest.raises(UsageError, match="replace an input"):
        plan_jobs([tree / "in/a.png"], tree / "in/deep/../a.png")
    with pytest.raises(UsageError, match="replace an input"):
        plan_jobs([tree / "in"], tree / "in")


@pytest.mark.parametrize("ending", [".changes.png", ".changes.tif"])
def test_what_lies_beside_an_output_is_no_input_either(tree, ending):
    other = tree / f"in/a-restored.png{ending}"
    other.write_bytes(b"x")
    with pytest.raises(UsageError, match="beside the output would replace an input"):
        plan_jobs([tree / "in/a.png", other], None)


def test_two_inputs_with_one_output_are_refused(tree):
    with pytest.raises(UsageError, match="both be written"):
        plan_jobs([tree / "in/a.png", tree / "in/deep/a.png"], tree / "out")
    with pytest.raises(UsageError, match="both be written"):
        plan_jobs([tree / "in", tree / "in/deep"], tree / "out")


def test_missing_and_empty_inputs_are_named(tree):
    with pytest.raises(InputError) as missing:
        plan_jobs([tree / "in/none.png"], tree / "out")
    assert "none.png: no such file" in str(missing.value)
    (tree / "empty").mkdir()
    with pytest.raises(NothingToDoError):
        plan_jobs([tree / "empty"], tree / "out", recursive=True)


def test_a_suffix_cannot_leave_the_folder(tree):
    with pytest.raises(UsageError, match="path separator"):
        plan_jobs([tree / "in"], tree / "out", suffix="/../../x")


@pytest.mark.parametrize("name", ["out.gif", "out.BMP", "-"])
def test_a_kind_that_is_not_written_is_refused(tree, name):
    output = Path(name) if name == "-" else tree / name
    with pytest.raises(UsageError, match=r"not written.*\.png, \.tif"):
        plan_jobs([tree / "in/a.png"], output)


@pytest.mark.parametrize("names", [["in/a.png", "in/b.tif"], ["in"]])
def test_several_pictures_do_not_go_to_one_file(tree, names):
    with pytest.raises(UsageError, match=r"one\.png.*name a folder"):
        plan_jobs([tree / name for name in names], tree / "one.png")


def test_a_picture_that_is_given_twice_is_named_once(tree):
    with pytest.raises(UsageError, match=r"a\.png: given twice"):
        plan_jobs([tree / "in/a.png", tree / "in/a.png"], tree / "out")


class CountedPath(type(Path())):
    """Counts how often paths are compared."""

    compared = 0

    def __eq__(self, other):
        CountedPath.compared += 1
        return super().__eq__(other)

    __hash__ = Path.__hash__


def test_many_names_are_not_each_compared_with_all(tmp_path, monkeypatch):
    monkeypatch.setattr(CountedPath, "compared", 0)
    inputs = [CountedPath(tmp_path / f"{number}.png") for number in range(200)]
    for path in inputs:
        path.touch()
    jobs = plan_jobs(inputs, tmp_path / "out")
    assert [job.source for job in jobs] == [Path(path) for path in inputs]
    masks = CountedPath(tmp_path / "masks")
    assert len(with_mask_outputs(jobs, tmp_path / "out", masks, of_sources=False)) == 200
    assert CountedPath.compared < 10 * len(inputs)


def test_a_dot_makes_no_file_of_a_folder(tree):
    (job,) = plan_jobs([tree / "in/a.png"], tree / "cave.103")
    assert job.target == tree / "cave.103/a.png"


def test_pictures_that_are_left_out_are_named(tree, caplog):
    for name in ("in/old.bmp", "in/raw.CR2", "in/raw.IIQ", "in/deep/x.gif"):
        (tree / name).write_bytes(b"x")
    plan_jobs([tree / "in"], tree / "out")
    assert [record.args[0].name for record in caplog.records] == ["old.bmp", "raw.CR2", "raw.IIQ"]
    assert all("are not read, left out" in record.message for record in caplog.records)
