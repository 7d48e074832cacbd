"""What the rows of a run say, block by block: averages, failures, and who is better than whom."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dunrestore.benchmarking.protocol import Block
from dunrestore.benchmarking.quantities import QUANTITIES
from dunrestore.benchmarking.results import Method, Results, Row
from dunrestore.benchmarking.statistics import (
    Difference,
    Summary,
    paired_differences,
    summarise,
    turned,
)

SCHEMA = "dunrestore/benchmark/1"


@dataclass(frozen=True)
class Findings:
    """One block of a run.

    Attributes:
        block: what was done to the pictures.
        methods: those who took part.
        summaries: by method and quantity; None where a method has no value.
        differences: of every two methods, in every quantity that both have.
        leaders: by quantity the blind method with the best mean and those not told apart from it.
        failures: the rows of pictures that a method failed on.
    """

    block: Block
    methods: tuple[Method, ...]
    summaries: Mapping[str, Mapping[str, Summary | None]]
    differences: tuple[Difference, ...]
    leaders: Mapping[str, frozenset[str]]
    failures: tuple[Row, ...]

    def failed(self, method: str) -> int:
        """On how many pictures a method failed."""
        return sum(row.method == method for row in self.failures)

    def difference(self, first: str, second: str, quantity: str) -> Difference | None:
        """First minus second method, whichever way round it is kept."""
        for found in self.differences:
            if found.quantity == quantity and {found.first, found.second} == {first, second}:
                return found if found.first == first else turned(found)
        return None


def analyse(results: Results) -> tuple[Findings, ...]:
    """The findings of every block."""
    return tuple(_analyse(results, block) for block in results.protocol.blocks)


def _analyse(results: Results, block: Block) -> Findings:
    rows = [row for row in results.rows if row.block == block.name]
    present = {row.method for row in rows}
    methods = tuple(method for method in results.methods if method.name in present)
    by_place = {(row.method, row.image): row.values for row in rows}
    values = {
        key: {
            method.name: [
                by_place.get((method.name, image.name), {}).get(key) for image in results.images
            ]
            for method in methods
        }
        for key in QUANTITIES
    }
    summaries = {
        method.name: {key: summarise(values[key][method.name]) for key in QUANTITIES}
        for method in methods
    }
    differences = tuple(
        difference
        for key, quantity in QUANTITIES.items()
        for difference in paired_differences(
            values[key], key, higher_is_better=quantity.higher_is_better
        )
    )
    return Findings(
        block=block,
        methods=methods,
        summaries=summaries,
        differences=differences,
        leaders=_leaders(methods, summaries, differences),
        failures=tuple(row for row in rows if row.error is not None),
    )


def _leaders(
    methods: Sequence[Method],
    summaries: Mapping[str, Mapping[str, Summary | None]],
    differences: Sequence[Difference],
) -> dict[str, frozenset[str]]:
    blind = [method.name for method in methods if method.kind in ("model", "blind")]
    found: dict[str, frozenset[str]] = {}
    for key, quantity in QUANTITIES.items():
        means = {name: s.mean for name in blind if (s := summaries[name][key]) is not None}
        if not means:
            continue
        pick = max if quantity.higher_is_better else min
        best = pick(means, key=lambda name: means[name])
        ours = [d for d in differences if d.quantity == key and best in (d.first, d.second)]
        seen = [d if d.first == best else turned(d) for d in ours]
        beaten = {d.second for d in seen if d.verdict == "better"}
        if all(d.verdict != "too few pictures" for d in seen):
            found[key] = frozenset(means) - beaten
    return found


def as_dict(results: Results, findings: Sequence[Findings]) -> dict[str, Any]:
    """Everything as ``results.json`` holds it."""
    return {
        "schema": SCHEMA,
        "created": results.created,
        "environment": dict(results.environment),
        "protocol": asdict(results.protocol),
        "options": dict(results.options),
        "data": {
            "name": results.data,
            "images": [asdict(image) for image in results.images],
            "left_out": list(results.left_out),
        },
        "methods": [asdict(method) for method in results.methods],
        "blocks": [_block_as_dict(block) for block in findings],
        "rows": [
            {
                "block": row.block,
                "image": row.image,
                "method": row.method,
                "error": row.error,
                "values": row.values,
            }
            for row in results.rows
        ],
        "speed": [asdict(speed) for speed in results.speed],
        "notes": list(results.notes),
    }


def _block_as_dict(found: Findings) -> dict[str, Any]:
    return {
        "name": found.block.name,
        "title": found.block.title,
        "summary": {
            method: {key: None if s is None else asdict(s) for key, s in quantities.items()}
            for method, quantities in found.summaries.items()
        },
        "failed": {
            method.name: count for method in found.methods if (count := found.failed(method.name))
        },
        "leaders": {key: sorted(names) for key, names in found.leaders.items()},
        "differences": [asdict(difference) for difference in found.differences],
    }
