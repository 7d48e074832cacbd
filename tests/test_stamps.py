"""When something was made, and with which versions."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from dunrestore.checkpoints.record import Record
from dunrestore.stamps import now, version_of


def test_the_time_is_in_utc_to_the_second(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    found = datetime.fromisoformat(now())
    assert found.utcoffset() == timedelta(0)
    assert found.microsecond == 0
    assert abs(datetime.now(UTC) - found) < timedelta(minutes=1)


def test_another_time_can_stand_in_for_it(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert now() == "2023-11-14T22:13:20+00:00"
    assert Record("m", "f", "0" * 64, 1, "import", "x").date == now()


def test_versions_are_those_that_are_installed():
    assert version_of("numpy") == version("numpy")
    assert version_of("no-such-package-is-installed") == ""
