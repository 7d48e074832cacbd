"""What is to be restored, and where each result goes: decided before any work begins."""

import logging
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from dunrestore.errors import (
    FileAccessError,
    InputError,
    NothingToDoError,
    UsageError,
    file_access_error,
)
from dunrestore.imaging.files import IMAGE_SUFFIXES
from dunrestore.imaging.folders import files_below, is_litter
from dunrestore.provenance import change_map, record
from dunrestore.restoration.batch.originals import refuse_replacing
from dunrestore.restoration.source import ALL_BESIDE, Job

log = logging.getLogger(__name__)

DEFAULT_SUFFIX = "-restored"

OTHER_PICTURES = frozenset(
    {".3fr", ".arw", ".avif", ".bmp", ".cr2", ".cr3", ".dng", ".exr", ".fff", ".gif", ".heic",
     ".heif", ".ico", ".iiq", ".jxl", ".jxr", ".nef", ".orf", ".pbm", ".pdf", ".pef", ".pgm",
     ".pnm", ".ppm", ".psb", ".psd", ".raf", ".rw2", ".svg", ".tga"}
)  # fmt: skip
"""Extensions of pictures that are neither read nor written."""

_EXTENSIONS = {"png": ".png", "tiff": ".tif", "jpeg": ".jpg", "jp2": ".jp2", "webp": ".webp"}
_ENDINGS = ", ".join(_EXTENSIONS.values())


def extension_of(image_format: str | None) -> str | None:
    """The file name extension of a format, with its dot; None for None."""
    return None if image_format is None else _EXTENSIONS[image_format]


def plan_jobs(
    inputs: Sequence[Path],
    output: Path | None,
    *,
    recursive: bool = False,
    suffix: str | None = None,
    extension: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    masks: Path | None = None,
) -> list[Job]:
    """Pair every input picture with its output.

    Args:
        inputs: files and folders.
        output: a file (one input file), a folder, or None to write beside the input.
        recursive: descend into folders; their tree is kept under ``output``.
        suffix: appended to the stem of each output's name; None for ``DEFAULT_SUFFIX`` beside the
            input, and none elsewhere.
        extension: the outputs' extension with its dot; None keeps each input's.
        include: of what is found in folders take only what matches one of these patterns: of a
            name (``*.tif``) or, with a slash, of the path inside the folder (``west/*.tif``).
        exclude: leave out what matches one of these.
        masks: a mask, or a folder of masks, that may lie below one of ``inputs``: none to restore.

    Raises:
        InputError: an input that does not exist, or is a pipe or a device.
        FileAccessError: a folder that cannot be read, or an output that is no place for any.
        UsageError: outputs that would collide with each other or with an input, or an output that
            is no place for them.
        NothingToDoError: no picture found.
    """
    if suffix is not None and ("/" in suffix or "\\" in suffix):
        raise UsageError(f"the suffix {suffix!r} holds a path separator")
    for path in inputs:
        if not path.exists():
            raise InputError("no such file or folder", path=path, next_step="check the name")
        if not (path.is_file() or path.is_dir()):
            raise InputError("this is not a regular file", path=path, next_step="name a picture")
    if output is None and suffix == "":
        raise UsageError(
            "without a suffix the outputs would replace the inputs",
            next_step="give another --suffix, or -o FOLDER",
        )
    _refuse_output(inputs, output)
    if _to_one_file(inputs, output):
        assert output is not None
        if suffix:
            raise UsageError(
                "--suffix is for outputs that are not named one by one",
                path=output,
                next_step="drop --suffix, or name a folder",
            )
        jobs = [Job(inputs[0], output)]
    else:
        if suffix is None:
            suffix = DEFAULT_SUFFIX if output is None else ""
        named = set(inputs)
        jobs = [
            _job(source, root, output, suffix, extension)
            for root, source in _sources(inputs, output, masks, recursive=recursive)
            if source in named or _matches(source, root, include, exclude)
        ]
    if not jobs:
        hint = "" if recursive else "; use -r for folders inside folders"
        raise NothingToDoError(f"no pictures found in {_listed(inputs)}{hint}")
    _refuse_collisions(jobs)
    return jobs


def output_folder(jobs: Sequence[Job], output: Path | None, inputs: Sequence[Path]) -> Path | None:
    """The folder that a run over several files writes into; None for one file, or without one."""
    if output is None or _to_one_file(inputs, output):
        return None
    # One picture claims no folder: others may be restored into it at the same time.
    return output if len(jobs) > 1 or inputs[0].is_dir() else None


def _to_one_file(inputs: Sequence[Path], output: Path | None) -> bool:
    if output is None or len(inputs) != 1 or inputs[0].is_dir() or output.is_dir():
        return False
    return output.suffix.lower() in IMAGE_SUFFIXES


def _refuse_output(inputs: Sequence[Path], output: Path | None) -> None:
    """Refuse what is neither a folder nor a file that the inputs could be written to."""
    if output is None or output.is_dir():
        return
    kind = output.suffix.lower()
    if kind in OTHER_PICTURES or str(output) == "-":
        raise UsageError(
            "not written to standard output" if str(output) == "-" else f"{kind} is not written",
            path=output,
            next_step=f"name a file that ends in one of {_ENDINGS}",
        )
    if kind in IMAGE_SUFFIXES and not _to_one_file(inputs, output):
        raise UsageError(
            "several pictures cannot be written to one file",
            path=output,
            next_step="name a folder",
        )
    if kind not in IMAGE_SUFFIXES and os.path.lexists(output):
        raise FileAccessError(
            "this is no folder, and no name of a picture",
            path=output,
            next_step=f"name a folder, or a file that ends in one of {_ENDINGS}",
        )


def _sources(
    inputs: Sequence[Path], output: Path | None, masks: Path | None, *, recursive: bool
) -> Iterable[tuple[Path, Path]]:
    """(folder that the tree is kept from, file) for every picture."""
    made = 0
    for path in inputs:
        if not path.is_dir():
            yield path.parent, path
            continue
        # Whatever links or spelling name it.
        inside = {_inside(output, path), _inside(masks, path)}
        for found in _pictures(path, recursive=recursive):
            if not inside.isdisjoint((found, *found.parents)):
                continue
            if record.path_of(found).exists():
                made += 1
            else:
                yield path, found
    if made and output is not None:
        log.warning(
            "pictures that earlier runs made are left out (%d); name those to restore", made
        )


def _inside(output: Path | None, folder: Path) -> Path | None:
    """An output folder as a path that begins with ``folder``, if it lies in that."""
    if output is None:
        return None
    below, above = output.resolve(), folder.resolve()
    if below == above or above not in below.parents:
        return None
    return folder / below.relative_to(above)


def _pictures(folder: Path, *, recursive: bool) -> Iterator[Path]:
    try:
        found = sorted(files_below(folder) if recursive else folder.iterdir())
    except OSError as error:
        raise file_access_error(error, folder) from error
    for path in found:
        if path.suffix.lower() in OTHER_PICTURES and path.is_file():
            log.warning("%s: pictures of this kind are not read, left out", path)
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.endswith(change_map.SUFFIXES):
            continue
        if is_litter(path):
            continue
        if path.is_symlink() and not path.exists():
            log.warning("%s: a link to nothing, left out", path)
        elif path.is_file():
            yield path


def _matches(source: Path, root: Path, include: Sequence[str], exclude: Sequence[str]) -> bool:
    inside = source.relative_to(root).as_posix()

    def matches(pattern: str) -> bool:
        return fnmatchcase(inside if "/" in pattern else source.name, pattern)

    if any(map(matches, exclude)):
        return False
    return not include or any(map(matches, include))


def _job(source: Path, root: Path, output: Path | None, suffix: str, extension: str | None) -> Job:
    inside = source.parent.relative_to(root)
    folder = source.parent if output is None else output / inside
    return Job(source, folder / f"{source.stem}{suffix}{extension or source.suffix}", inside)


def name_key(path: Path) -> str:
    """The same for paths that are the same on some file system: of names that differ in case or
    accents' encoding alone."""
    return unicodedata.normalize("NFC", str(path.resolve())).casefold()


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    sources = [job.source for job in jobs]
    replaced = "the output would replace an input"
    refuse_replacing(sources, [job.target for job in jobs], replaced)
    beside = [path for job in jobs for path in ALL_BESIDE.files_beside(job.target)]
    refuse_replacing(sources, beside, "what lies beside the output would replace an input")
    takers: dict[str, Path] = {}
    for job in jobs:
        key = name_key(job.target)
        if takers.get(key) == job.source:
            raise UsageError("given twice", path=job.source, next_step="name it once")
        if key in takers:
            raise UsageError(
                f"{takers[key].name} and {job.source.name} would both be written here",
                path=job.target,
                next_step="restore them into different folders",
            )
        takers[key] = job.source


def _listed(paths: Sequence[Path]) -> str:
    shown = ", ".join(str(path) for path in paths[:3])
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"
