"""``dunrestore noise``: add damage and noise, the same for the same seed."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

import typer

from dunrestore.cli import console
from dunrestore.cli.options import Quiet, Verbose, above_zero
from dunrestore.degradations.names import SOFTEST, Fill, KindName, RecipeName
from dunrestore.errors import DunrestoreError, ExitCode, UsageError
from dunrestore.imaging.limits import DEFAULT_MAX_MPIXELS

if TYPE_CHECKING:
    from dunrestore.degradations.recipes import Damage, Recipe

T = TypeVar("T")

USUAL_COVERAGE = 10.0
"""Percent, where none is given."""


if TYPE_CHECKING:
    DamageChoice = KindName
    FillChoice = Fill
    RecipeChoice = RecipeName
else:  # of choices that may be repeated typer takes enumerations only
    DamageChoice, FillChoice, RecipeChoice = (
        StrEnum("Choice", {name: name for name in get_args(names)})
        for names in (KindName, Fill, RecipeName)
    )


def noise(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="Pictures, or folders of pictures.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUTPUT", help="File or folder.")
    ],
    recipe: Annotated[
        list[RecipeChoice] | None,
        typer.Option(
            "--recipe",
            help="What people repeat: the challenge's losses; the paper's noise, low (Gaussian 8)"
            " and extreme (Gaussian 16); what murals suffer; areas with the soft edges of a scan;"
            " what training uses.",
        ),
    ] = None,
    damage: Annotated[
        list[DamageChoice] | None, typer.Option("--damage", help="Kind of damage; may be repeated.")
    ] = None,
    coverage: Annotated[
        list[float] | None,
        typer.Option(
            "--coverage",
            min=0.0,
            max=100.0,
            metavar="PERCENT",
            help="Share of the pixels; once for all, or once for every --damage. [10]",
        ),
    ] = None,
    fill: Annotated[
        list[FillChoice] | None,
        typer.Option(
            "--fill",
            help="What shows in the losses; once for all, or once for every --damage. If not"
            " given, what is usual for the kind.",
        ),
    ] = None,
    soft_edges: Annotated[
        float | None,
        typer.Option(
            "--soft-edges",
            min=0.0,
            max=SOFTEST,
            metavar="PIXELS",
            help="Edges of what covers the paint, as soft as a lens makes them that spreads points"
            " by so much (standard deviation).",
        ),
    ] = None,
    gaussian: Annotated[
        float | None,
        typer.Option(
            "--gaussian",
            min=0.0,
            max=255.0,
            metavar="SIGMA",
            help="Gaussian noise, its standard deviation on the scale 0 to 255.",
        ),
    ] = None,
    jpeg: Annotated[
        int | None,
        typer.Option("--jpeg", min=1, max=100, metavar="QUALITY", help="Through a JPEG."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="The same seed gives every file the same bytes.")
    ] = 0,
    mask_output: Annotated[
        Path | None,
        typer.Option(
            "--mask-output",
            metavar="FILE|FOLDER",
            help="Write where the damage is, white on black; a folder for several pictures.",
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Descend into folders, keep their tree.")
    ] = False,
    suffix: Annotated[
        str, typer.Option("--suffix", metavar="TEXT", help="Append to the names of the outputs.")
    ] = "",
    image_format: Annotated[
        Literal["png", "tiff", "jpeg", "jp2", "webp"] | None,
        typer.Option("--format", help="Format of the outputs; as the input if not given."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist.")
    ] = False,
    max_image_mpixels: Annotated[
        float,
        typer.Option(
            "--max-image-mpixels", metavar="N", callback=above_zero, help="Refuse larger pictures."
        ),
    ] = DEFAULT_MAX_MPIXELS,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per picture on stdout.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Add damage and noise to pictures, to test with; order: damage, Gaussian noise, JPEG."""
    # First, so that -v shows why an import fails.
    console.set_up(quiet=quiet, verbose=verbose)
    from dunrestore.degradations.files import degrade_file
    from dunrestore.restoration.batch.existing import refuse_files
    from dunrestore.restoration.batch.jobs import extension_of, plan_jobs
    from dunrestore.restoration.batch.mask_outputs import with_mask_outputs

    wanted = choose(
        recipes=recipe or [],
        damages=damage or [],
        coverages=coverage or [],
        fills=fill or [],
        soft_edges=soft_edges,
        gaussian=gaussian,
        jpeg=jpeg,
    )
    jobs = plan_jobs(
        inputs,
        output,
        recursive=recursive,
        suffix=suffix,
        extension=extension_of(image_format),
        masks=mask_output,
    )
    if mask_output is not None:
        jobs = with_mask_outputs(jobs, output, mask_output, of_sources=False)
    if not overwrite:
        written = [path for job in jobs for path in (job.target, *job.mask_outputs)]
        refuse_files(written, "use --overwrite to replace")
    codes: list[int] = []
    for job in jobs:
        said: dict[str, Any] = {"input": str(job.source), "seed": seed}
        try:
            made = degrade_file(
                job.source,
                job.target,
                wanted,
                seed,
                mask=job.mask_output,
                image_format=image_format,
                overwrite=overwrite,
                max_mpixels=max_image_mpixels,
            )
            codes.append(ExitCode.OK)
            said |= {"status": "done"} | made.as_dict()
        except DunrestoreError as error:
            codes.append(error.exit_code)
            said |= console.error_as_json(error)
            console.say(f"error: {error}")
        if as_json:
            console.print_json(said)
        elif not quiet and said["status"] == "done":
            moved = console.one_line(f"{job.source} -> {job.target}")
            warned = "".join(f"; {warning}" for warning in said["warnings"])
            console.say(f"{moved}: {said['damaged_percent']:.2f} % damaged{warned}")
    if any(codes):
        raise typer.Exit(codes[0] if len(codes) == 1 else ExitCode.PARTIAL)


def choose(
    *,
    recipes: Sequence[str],
    damages: Sequence[str],
    coverages: Sequence[float],
    fills: Sequence[Fill],
    soft_edges: float | None,
    gaussian: float | None,
    jpeg: int | None,
) -> "Recipe":
    """One recipe out of the named ones and what was asked for besides.

    Raises:
        UsageError: if nothing was asked for, or the options do not fit each other.
    """
    from dunrestore.degradations.recipes import KINDS, RECIPES, Damage, Recipe, override

    if not (recipes or damages) and gaussian is None and jpeg is None:
        raise UsageError(
            "nothing to add", next_step="give --recipe, --damage, --gaussian or --jpeg"
        )
    named = [RECIPES[name] for name in recipes]
    own = [d for r in named for d in r.damages]
    extra = [Damage(kind, (USUAL_COVERAGE / 100, USUAL_COVERAGE / 100)) for kind in damages]
    try:
        if extra:
            extra = _adjusted(extra, coverages, fills)
        else:
            own = _adjusted(own, coverages, fills)
        made = Recipe((*own, *extra))
        if soft_edges is not None and not any(KINDS[one.kind].fill for one in made.damages):
            raise UsageError(
                "--soft-edges, but nothing covers the paint",
                next_step="give --damage, other than stains and fading",
            )
        for one in named:
            made = override(
                made,
                gaussian=one.gaussian if one.gaussian[1] > 0 else None,
                gaussian_probability=one.gaussian_probability,
                jpeg=one.jpeg,
                jpeg_probability=one.jpeg_probability,
                soft_edges=one.soft_edges if one.soft_edges[1] > 0 else None,
                soft_edges_probability=one.soft_edges_probability,
            )
        return override(
            made,
            gaussian=None if gaussian is None else (gaussian, gaussian),
            jpeg=None if jpeg is None else (jpeg, jpeg),
            soft_edges=None if soft_edges is None else (soft_edges, soft_edges),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def _adjusted(
    damages: "Sequence[Damage]", coverages: Sequence[float], fills: Sequence[Fill]
) -> "list[Damage]":
    from dataclasses import replace

    shares = _one_each(coverages, len(damages), "--coverage")
    colours = _one_each(fills, len(damages), "--fill")
    adjusted: list[Damage] = []
    for damage, share, colour in zip(damages, shares, colours, strict=True):
        if share is not None:
            damage = replace(damage, coverage=(share / 100, share / 100), probability=1.0)
        if colour is not None:
            damage = replace(damage, fills=(colour,))
        adjusted.append(damage)
    return adjusted


def _one_each(values: Sequence[T], count: int, option: str) -> Sequence[T | None]:
    if not values:
        return [None] * count
    if count and len(values) in (1, count):
        return list(values) * (count // len(values))
    raise UsageError(
        f"{option} was given {len(values)} times for {count} kinds of damage",
        next_step="give it once, or once for every kind",
    )
