"""The change of a large picture, gathered on the disk row of tiles by row of tiles.

The same sums in the same order as ``change.propose`` makes in memory, so the same bytes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dunrestore.imaging import tiling
from dunrestore.imaging.picture import Encoding
from dunrestore.imaging.pixels import samples_to_rgb
from dunrestore.imaging.rows import DerivedRows, Rows, StoredRows, bands
from dunrestore.imaging.tiling import Tile
from dunrestore.models.colours import Evidence
from dunrestore.models.devices import name_of
from dunrestore.models.several_devices import Runners
from dunrestore.restoration.change import Progress
from dunrestore.restoration.observer import Advance
from dunrestore.restoration.options import Preserve
from dunrestore.restoration.sound import leaves_sound
from dunrestore.restoration.tiles import (
    changed,
    evidence_of,
    look_plan,
    looked,
    no_counts,
)
from dunrestore.restoration.work_folder import WorkFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """What is to be restored: one page's samples, upright."""

    samples: Rows
    """(H, W, C)."""
    encoding: Encoding
    lost: Rows | None = None
    """(H, W), where it is known to be lost."""

    @property
    def rgb(self) -> Rows:
        """(H, W, 3), RGB in [0, 1]."""
        shape = (*self.samples.shape[:2], 3)
        return DerivedRows(
            self.samples, lambda band: samples_to_rgb(band, self.encoding), shape, np.float32
        )


class Gathering:
    """The work on one page, kept in a folder.

    Args:
        scan: the page.
        work: the folder.
        name: what the page's files are called in it.
        channels: of what the network proposes: 3, or 4 with the probability of damage.
        preserve: as in ``RestoreOptions``.
    """

    def __init__(
        self, scan: Scan, work: WorkFolder, name: str, channels: int, preserve: Preserve
    ) -> None:
        self._scan, self._work, self._name = scan, work, name
        self._preserve: Preserve = preserve
        self._shape = (*scan.samples.shape[:2], channels)

    def begun(self) -> dict[str, Any]:
        """How an earlier run computed the page, as far as it came; empty without one."""
        return next(self._work.notes(event="plan", page=self._name), {})

    def run(
        self, runners: Runners, plan: tiling.Plan, side: int, progress: Progress | None
    ) -> StoredRows:
        """Compute all tiles, or those that are still to be computed.

        Args:
            runners: the network.
            plan: the tiles.
            side: what tiles it was made for, in pixels.
            progress: told of the tiles that were there already, then of each finished batch.

        Returns:
            (H, W, channels) float32, as ``Runner.change`` gives it, blended.
        """
        change = self._work.array(f"{self._name}-change", self._shape, np.float32)
        looks = look_plan(runners, plan)
        finished = self._resume(runners, plan, looks, side, change)
        across = len(plan.lefts)
        done = finished * across

        to_be_seen = 0 if looks is None else looks.count

        def tell(seen: int = to_be_seen) -> None:
            if progress is not None:
                looked_at = None if looks is None else (seen, to_be_seen)
                progress(Advance(done, plan.count, plan.height * plan.width, looked_at))

        if looks is not None and not finished:
            tell(len(self._rows_looked_at()) * len(looks.lefts))
        else:
            tell()
        logits: Rows | None = None
        evidence: Evidence | None = None
        if looks is not None and finished < len(plan.tops):
            counts, logits = self._look(runners, looks, tell)
            evidence = evidence_of(counts, plan, self._scan.rgb, logits)
        window = _Window(self._scan, plan, self._work.array)
        runners.know(evidence, leaves_sound=self._leaves_sound(runners, plan, finished, logits))
        for batch, changes in changed(runners, plan, window.tile, logits, finished):
            for tile, pixels in zip(batch, changes, strict=True):
                tiling.add(change, plan, tile, pixels)
            done += len(batch)
            if batch[-1].column == across - 1:
                self._finish_row(batch[-1].row, plan, change, runners)
            tell()
        window.delete()
        self._work.delete(self._logits)
        return change

    def _look(
        self, runners: Runners, plan: tiling.Plan, tell: Callable[[int], object]
    ) -> tuple[NDArray[np.float64], Rows | None]:
        """What is counted of all tiles and what the finder says, unless the losses are known.

        Rows of tiles that were looked at are not looked at again.
        """
        logits: StoredRows | None = None
        if self._scan.lost is None:
            logits = self._work.array(self._logits, (*plan.padded, 1), np.float32)
        notes = self._rows_looked_at()
        finished = len(notes)
        name = f"{self._name}-counts-{{}}.npy".format
        counts = no_counts(plan)
        if notes:
            counts += self._work.load(name(finished))
            runners.redone = max(notes[-1]["redone"], runners.redone)
        window = _Window(self._scan, plan, self._work.array)
        for batch in looked(runners, plan, window.tile, counts, logits, finished):
            if batch[-1].column == len(plan.lefts) - 1:
                row = batch[-1].row
                if logits is not None:
                    logits.flush()
                self._work.save(name(row + 1), counts)
                self._note_row("looked", row, runners)
                self._work.delete(name(row))
            tell(batch[-1].row * len(plan.lefts) + batch[-1].column + 1)
        window.delete()
        return counts, logits

    def _leaves_sound(
        self, runners: Runners, plan: tiling.Plan, finished: int, logits: Rows | None
    ) -> bool:
        if not runners.looks_first or finished == len(plan.tops):
            return False
        return leaves_sound(self._preserve, self._scan.rgb, logits)

    def _rows_looked_at(self) -> list[dict[str, Any]]:
        return list(self._work.notes(event="looked", page=self._name))

    @property
    def _logits(self) -> str:
        return f"{self._name}-logits"

    def _resume(
        self,
        runners: Runners,
        plan: tiling.Plan,
        looks: tiling.Plan | None,
        side: int,
        change: StoredRows,
    ) -> int:
        """How many rows of tiles are finished; what an unfinished one left is undone."""
        wanted = {
            "event": "plan",
            "page": self._name,
            "side": side,
            "tiles": _written(plan),
            "looks": looks and _written(looks),
            # Their number may change: it does not decide what comes out.
            "device": runners.devices[0].type,
            "precision": name_of(runners.dtype),
            # A GPU may compute several tiles otherwise than one, and if one of them is spoilt, all
            # are computed again.
            "batch": runners.batch_size,
        }
        if self.begun() != wanted:
            self._work.forget(page=self._name)
            self._work.note(wanted)
            change.clear()
            return 0
        rows = list(self._work.notes(event="row", page=self._name))
        finished = len(rows)
        if rows:
            runners.redone, runners.left = rows[-1]["redone"], rows[-1]["left"]
            log.info("%d of %d rows of tiles are there already", finished, len(plan.tops))
        if finished == len(plan.tops):
            return finished
        if finished == 0:
            change.clear()
            return 0
        shared = tiling.shared_rows(plan, finished)
        change[shared] = self._work.load(self._kept(finished))
        end = plan.tops[finished] + plan.heights[finished]
        for band in bands(end - shared.stop, plan.width):
            change[shared.stop + band.start : shared.stop + band.stop] = 0
        return finished

    def _finish_row(
        self, row: int, plan: tiling.Plan, change: StoredRows, runners: Runners
    ) -> None:
        change.flush()
        if row + 1 < len(plan.tops):
            # The next row of tiles adds to these; should it be interrupted, they are needed again.
            shared = tiling.shared_rows(plan, row + 1)
            self._work.save(self._kept(row + 1), change[shared])
        self._note_row("row", row, runners)
        self._work.delete(self._kept(row))

    def _note_row(self, event: str, row: int, runners: Runners) -> None:
        done = {"row": row, "redone": runners.redone, "left": runners.left}
        self._work.note({"event": event, "page": self._name, **done})

    def _kept(self, row: int) -> str:
        return f"{self._name}-begun-{row}.npy"


def _written(plan: tiling.Plan) -> list[list[int]]:
    """As it stands in the journal."""
    return [list(lines) for lines in (plan.tops, plan.heights, plan.lefts, plan.widths)]


class _Window:
    """The rows around one row of tiles, decoded."""

    def __init__(self, scan: Scan, plan: tiling.Plan, make: Callable[..., StoredRows]) -> None:
        self._scan = scan
        # Beyond the lower edge a tile holds rows from above it.
        shape = (2 * max(plan.heights), *scan.samples.shape[1:])
        self._stored = make("window", shape, scan.samples.dtype)
        self._held = range(0)

    def tile(self, tile: Tile) -> NDArray[np.float32]:
        """The pixels (rows, columns, 3) of a tile; 4 with what is known to be lost."""
        rows, columns = tiling.spans(tile, *self._scan.samples.shape[:2])
        needed = rows.needed
        if self._held != needed:
            self._move(needed)
        held = rows.since(needed.start)
        samples = tiling.cut_out(self._stored[: len(needed)], held, columns)
        rgb = samples_to_rgb(samples, self._scan.encoding)
        if self._scan.lost is None:
            return rgb
        lost = self._scan.lost[needed.start : needed.stop][..., None]
        lost = tiling.cut_out(lost, held, columns)
        return np.concatenate([rgb, lost.astype(np.float32)], axis=2)

    def _move(self, rows: range) -> None:
        for band in bands(len(rows), self._scan.samples.shape[1]):
            part = self._scan.samples[rows.start + band.start : rows.start + band.stop]
            self._stored[band] = part
        self._held = rows

    def delete(self) -> None:
        """Delete the file."""
        self._stored.delete()
