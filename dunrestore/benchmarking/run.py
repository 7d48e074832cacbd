"""The measuring loop: every block, every picture, every contestant; one row each."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dunrestore.benchmarking.cases import Case, Pixels, Source, make_case
from dunrestore.benchmarking.contestants import Contestant
from dunrestore.benchmarking.journal import Journal, row_key
from dunrestore.benchmarking.previews import Previews
from dunrestore.benchmarking.protocol import Block, Protocol
from dunrestore.benchmarking.quantities import measure
from dunrestore.benchmarking.results import Method, Row, Speed
from dunrestore.benchmarking.speed import Timed, timed
from dunrestore.errors import DunrestoreError
from dunrestore.metrics.lpips import LPIPS

log = logging.getLogger(__name__)

WARM_UP_SIDE = 256
"""Each contestant first restores a corner of this side, which is not measured."""

Progress = Callable[[str, str, str], None]
"""Called with (block, image, method) before each measurement."""


@dataclass(frozen=True)
class Run:
    """What is measured, and with what.

    Attributes:
        sources: the pictures.
        protocol: what is done to them.
        contestants: those who restore them.
        settings: whatever else the figures depend on (options, versions); part of each row's key.
        lpips: the perceptual metric, or None.
        journal: where finished rows are kept; None keeps none.
        previews: where small pictures for the page are kept; None keeps none.
    """

    sources: Sequence[Source]
    protocol: Protocol
    contestants: Sequence[Contestant]
    settings: dict[str, object]
    lpips: LPIPS | None = None
    journal: Journal | None = None
    previews: Previews | None = None

    def steps(self) -> int:
        """How many times a contestant is given a picture, at most."""
        return len(self.sources) * len(self.protocol.blocks) * len(self.contestants)

    def rows(self, progress: Progress | None = None) -> Iterator[Row]:
        """Measure; rows that the journal holds are not measured again."""
        warm: set[int] = set()
        for block in self.protocol.blocks:
            for source in self.sources:
                yield from self._picture(block, source, warm, progress)

    def _picture(
        self, block: Block, source: Source, warm: set[int], progress: Progress | None
    ) -> Iterator[Row]:
        case: Case | None = None
        try:
            case = make_case(source, block, self.protocol)
        except DunrestoreError as error:
            yield from (r for c in self.contestants for r in _failed(block, source.name, c, error))
        for index, contestant in enumerate(self.contestants):
            if progress is not None:
                progress(block.name, source.name, contestant.methods[0].name)
            if case is None or not contestant.takes_part(case):
                continue
            keys = [self._key(block, case, method) for method in contestant.methods]
            if known := self._known(keys):
                yield from known
                continue
            if index not in warm:
                warm.add(index)
                _warm_up(contestant, case)
            for key, row in zip(keys, self._measured(block, case, contestant), strict=True):
                if self.journal is not None:
                    self.journal.add(key, row)
                yield row

    def _measured(self, block: Block, case: Case, contestant: Contestant) -> list[Row]:
        try:
            done = timed(lambda: contestant.restore(case), contestant.device)
            rows = [
                self._row(block, case, method.name, picture, done)
                for method, picture in zip(contestant.methods, done.value, strict=True)
            ]
        except DunrestoreError as error:
            return _failed(block, case.image, contestant, error)
        except Exception as error:  # one picture's failure costs that picture alone
            log.debug("%s failed on %s", contestant.methods[0].name, case.image, exc_info=True)
            return _failed(block, case.image, contestant, error)
        if self.previews is not None:
            self.previews.keep(block.name, case, contestant, done.value)
        return rows

    def _row(
        self,
        block: Block,
        case: Case,
        method: str,
        picture: Pixels,
        done: Timed[tuple[Pixels, ...]],
    ) -> Row:
        values = measure(picture, case.truth, case.mask, case.damaged, self.lpips)
        return Row(block.name, case.image, method, values, done.seconds, done.peak_bytes)

    def _known(self, keys: Sequence[str]) -> list[Row]:
        if self.journal is None or not all(key in self.journal.rows for key in keys):
            return []
        return [self.journal.rows[key] for key in keys]

    def _key(self, block: Block, case: Case, method: Method) -> str:
        return row_key(
            block=block.name,
            image=case.image,
            pixels=case.digest,
            method=method.name,
            facts=dict(method.facts),
            lpips=self.lpips is not None,
            settings=self.settings,
        )


def _warm_up(contestant: Contestant, case: Case) -> None:
    corner = slice(WARM_UP_SIDE), slice(WARM_UP_SIDE)
    mask = None if case.mask is None else case.mask[corner]
    try:
        contestant.restore(
            Case(case.image, case.truth[corner], case.damaged[corner], mask, case.noisy)
        )
    except Exception:  # it will fail again, and be reported, where it counts
        log.debug("%s failed while warming up", contestant.methods[0].name, exc_info=True)


def _failed(block: Block, image: str, contestant: Contestant, error: Exception) -> list[Row]:
    shown = str(error) if isinstance(error, DunrestoreError) else f"{type(error).__name__}: {error}"
    line = " ".join(shown.split())
    return [Row(block.name, image, m.name, {}, 0.0, 0, line) for m in contestant.methods]


def speeds(
    rows: Sequence[Row], contestants: Sequence[Contestant], pixels: dict[str, int]
) -> list[Speed]:
    """How every contestant ran, over all its rows.

    Args:
        rows: measured.
        contestants: those who ran.
        pixels: of each image, by name.
    """
    found: list[Speed] = []
    for contestant in contestants:
        name = contestant.methods[0].name
        own = [row for row in rows if row.method == name and row.error is None]
        seconds = sum(row.seconds for row in own)
        if not own or contestant.methods[0].kind == "input" or not seconds:
            continue
        found.append(
            Speed(
                method=name,
                mpixels_per_second=sum(pixels[row.image] for row in own) / 1e6 / seconds,
                peak_memory_mib=max(row.peak_bytes for row in own) / 2**20,
                multiply_adds_g=(
                    None if contestant.multiply_adds is None else contestant.multiply_adds / 1e9
                ),
            )
        )
    return found
