"""Lists of devices: which are taken, which refused, and in what precision they compute."""

import pytest
import torch

from dunrestore.errors import UsageError
from dunrestore.models import devices
from dunrestore.models.devices import choose_device, choose_devices, choose_precision, kind_of


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_a_list_names_devices_of_one_kind(two_gpus):
    assert [str(one) for one in choose_devices("cuda:0, cuda:1")] == ["cuda:0", "cuda:1"]
    assert [str(one) for one in choose_devices("cuda,cuda:1")] == ["cuda:0", "cuda:1"]
    assert choose_devices("cpu,cpu,cpu") == (torch.device("cpu"),) * 3
    assert choose_devices("cuda:1") == (torch.device("cuda:1"),)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("cpu,cuda:0", "mixes kinds"),
        ("cuda:1,cuda:1", "names a device twice"),
        ("cuda,cuda:0", "names a device twice"),
        ("cuda:0,cuda:2", "cuda:2 is not present"),
        ("auto,cpu", "does not say which"),
        ("cpu,", "unknown device ''"),
        ("cpu,abacus", "unknown device 'abacus'"),
    ],
)
def test_other_lists_are_refused_in_one_line(two_gpus, names, message):
    with pytest.raises(UsageError, match=message) as caught:
        choose_devices(names)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_a_gpu_bears_its_number_however_it_is_called(two_gpus, name):
    assert str(choose_device(name)) == "cuda:0"


def test_what_needs_one_device_takes_no_list():
    with pytest.raises(UsageError, match=r"more than one device.*only `restore`"):
        choose_device("cpu,cpu")


def test_the_kind_is_what_devices_have_in_common():
    assert {kind_of(names) for names in ("cuda", "cuda:1", "cuda:0, cuda:1")} == {"cuda"}
    assert [kind_of(names) for names in ("auto", "cpu,cpu", "mps")] == ["auto", "cpu", "mps"]


def test_automatic_precision_is_what_all_devices_support(monkeypatch):
    old, new = torch.device("cuda:0"), torch.device("cuda:1")
    monkeypatch.setattr(devices, "_has_bfloat16", lambda device: device == new)
    assert choose_precision("auto", new) == torch.bfloat16
    assert choose_precision("auto", old) == torch.float16
    assert choose_precision("auto", new, old) == torch.float16
    assert choose_precision("bf16", new, old) == torch.bfloat16
    assert choose_precision("auto", new, torch.device("cuda:1")) == torch.bfloat16
