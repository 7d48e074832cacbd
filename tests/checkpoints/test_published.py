"""Published checkpoints, as files that the tests make: the same keys, the same containers."""

import hashlib
import io
import os
import pickle
import zipfile

import pytest
import torch

from dunrestore.checkpoints import formats
from dunrestore.checkpoints.load import load
from dunrestore.errors import ExitCode, ModelError
from dunrestore.models.car import CAR, CARConfig
from dunrestore.models.edsr import EDSR, EDSRConfig
from dunrestore.models.hinet import HINet, HINetConfig


def hinet(**config):
    torch.manual_seed(3)
    return HINet(HINetConfig(**({"width": 4, "depth": 3} | config))).eval()


def save_hinet(path, network):
    torch.save({"params": network.state_dict()}, path)
    return path


def save_car(folder, network, *, prefix="module."):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("kgn", "usn"):
        state = getattr(network, name).state_dict()
        torch.save({prefix + key: t for key, t in state.items()}, folder / f"{name}.pth")
    return folder


def same_output(a, b, size=(32, 48)):
    x = torch.rand(2, 3, *size)
    with torch.inference_mode():
        return torch.equal(torch.cat(a(x)), torch.cat(b(x)))


@pytest.mark.parametrize(
    "config",
    [
        {"hin_first": 1, "hin_last": 2},
        {"hin_first": 0, "hin_last": 2},
        {"hin_first": 2, "hin_last": 2},
        {"hin_first": 1, "hin_last": 0},
        {"width": 6, "depth": 4, "hin_first": 3, "hin_last": 3},
    ],
)
@pytest.mark.parametrize("name", ["HINet.pth", "without suffix"])
def test_hinet_is_inferred_from_its_state_dict(tmp_path, config, name):
    network = hinet(**config)
    model = load(save_hinet(tmp_path / name, network))
    assert model.architecture == "hinet"
    if config["hin_first"] <= config["hin_last"]:
        assert model.network.config == network.config
    assert same_output(model.network, network)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("scale", [2, 4])
def test_edsr_is_inferred_and_its_range_converted_exactly(tmp_path, scale, zipped):
    torch.manual_seed(4)
    network = EDSR(EDSRConfig(blocks=3, features=8, scale=scale)).double().eval()
    with torch.no_grad():  # the authors' files work on 0..255: their mean colours say so
        for name, parameter in network.named_parameters():
            if name.endswith("mean.bias"):
                parameter *= 255
            elif name.endswith("bias"):
                parameter += torch.randn_like(parameter) * 20
    path = tmp_path / "edsr.pt"
    state = network.float().state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    model = load(path)
    assert (model.architecture, model.network.config) == ("edsr", network.config)
    x = torch.rand(1, 3, 9, 11, dtype=torch.float64)
    with torch.inference_mode():
        expected = network.double()(x * 255) / 255
        got = model.network.double()(x)
    assert expected.abs().max() > 0.5
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


def test_edsr_for_the_unit_range_is_left_as_it_is(tmp_path):
    network = EDSR(EDSRConfig(blocks=1, features=4)).eval()
    torch.save(network.state_dict(), tmp_path / "edsr.pt")
    loaded = load(tmp_path / "edsr.pt").network.state_dict()
    assert all(torch.equal(t, loaded[name]) for name, t in network.state_dict().items())


@pytest.mark.parametrize("subfolder", ["", "2x"])
@pytest.mark.parametrize("range_255", [False, True])
def test_car_is_inferred_from_its_pair(tmp_path, subfolder, range_255):
    torch.manual_seed(5)
    config = CARConfig(5, 2, 6, 2, EDSRConfig(blocks=2, features=4))
    network = CAR(config).eval()
    folder = save_car(tmp_path / "car" / subfolder, network)
    if range_255:
        state = torch.load(folder / "usn.pth", weights_only=True)
        torch.save({k: t * 255 if "bias" in k else t for k, t in state.items()}, folder / "usn.pth")
    model = load(tmp_path / "car")
    assert (model.architecture, model.network.config) == ("car", config)
    x = torch.rand(1, 3, 16, 24)
    with torch.inference_mode():
        torch.testing.assert_close(model.network(x)[0], network(x)[0], rtol=1e-5, atol=1e-5)


def test_car_for_a_quarter_of_the_size_is_inferred(tmp_path):
    config = CARConfig(13, 4, 4, 1, EDSRConfig(blocks=1, features=4, scale=4))
    network = CAR(config).eval()
    model = load(save_car(tmp_path / "4x", network).parent)
    assert model.network.config == config
    assert same_output(model.network, network)


def test_two_pairs_in_one_folder_are_ambiguous(tmp_path):
    network = CAR(CARConfig(3, 2, 4, 1, EDSRConfig(blocks=1, features=4)))
    for name in ("2x", "4x"):
        save_car(tmp_path / name, network)
    with pytest.raises(ModelError, match=r"twice; name one: .*2x or .*4x"):
        load(tmp_path)


def test_half_of_a_pair_is_refused(tmp_path):
    folder = save_car(tmp_path, CAR(CARConfig(3, 2, 4, 1, EDSRConfig(blocks=1, features=4))))
    with pytest.raises(ModelError, match="one half of CAR"):
        load(folder / "kgn.pth")
    assert load(folder / "usn.pth").architecture == "edsr"
    (folder / "usn.pth").unlink()
    with pytest.raises(ModelError, match=r"usn\.pth is missing"):
        load(folder)
    (folder / "kgn.pth").unlink()
    with pytest.raises(ModelError, match=r"holds no kgn\.pth"):
        load(folder)


def test_the_hash_of_a_pair_is_what_sha256sum_prints(tmp_path):
    folder = save_car(tmp_path, CAR(CARConfig(3, 2, 4, 1, EDSRConfig(blocks=1, features=4))))
    contents = {name: (folder / name).read_bytes() for name in ("kgn.pth", "usn.pth")}
    lines = "".join(f"{hashlib.sha256(c).hexdigest()}  {name}\n" for name, c in contents.items())
    assert load(folder).sha256 == hashlib.sha256(lines.encode()).hexdigest()


def without(key):
    def change(state):
        del state[key]

    return change


def with_extra(state):
    state["more.weight"] = torch.zeros(3)


def with_shape(state):
    state["last.weight"] = torch.zeros(3, 4, 5, 5)


def with_nan(state):
    state["last.bias"][1] = torch.nan


def with_text(state):
    state["note"] = "hello"


def with_a_view(state):
    state["last.weight"] = torch.zeros(1).expand(3, 4, 3, 3_000_000)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("conv_01.weight"), r"lacks a part: 'conv_01\.weight'"),
        (without("last.bias"), r"lacks last\.bias"),
        (with_extra, r"holds more\.weight"),
        (with_shape, r"last\.weight has the shape"),
        (with_nan, r"last\.bias holds numbers that are not finite"),
        (with_text, "not a tensor: note"),
        (with_a_view, "claims more weights"),
    ],
)
def test_a_wrong_state_dict_is_refused_with_the_reason(tmp_path, change, reason):
    state = dict(hinet(hin_first=1, hin_last=2).state_dict())
    change(state)
    torch.save({"params": state}, tmp_path / "h.pth")
    with pytest.raises(ModelError, match=reason) as caught:
        load(tmp_path / "h.pth")
    assert caught.value.exit_code == ExitCode.MODEL


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_file_cut_short_anywhere_is_refused(tmp_path, zipped):
    path = tmp_path / "h.pth"
    state = {"params": hinet().state_dict()}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for kept in {0, 1, 3, 4, 100, 1000, len(whole) // 2, len(whole) - 100, len(whole) - 1}:
        path.write_bytes(whole[:kept])
        with pytest.raises(ModelError):
            load(path)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("where", ["plain", "torch", "params"])
def test_a_pickle_that_would_run_something_is_refused(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    if where == "plain":
        path.write_bytes(pickle.dumps(Evil()))
    else:
        torch.save({"params": Evil()} if where == "params" else Evil(), path)
    with pytest.raises(ModelError, match=r"holds more than numbers$"):
        load(path)
    assert not (tmp_path / "pwned").exists()


def test_an_archive_that_unpacks_to_more_than_it_holds_is_refused(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data/0", bytes(10_000_000))
    with pytest.raises(ModelError, match="claims more data"):
        load(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n <!DOCTYPE html><html>", "web page"),
        (b"hello", "neither"),
        (b"\x89PNG\r\n\x1a\n", "neither"),
        (b"\x80\x02]q\x00.", "cut short|no state dict"),
        (b"PK\x03\x04 and nothing more", "cut short or broken"),
    ],
)
def test_anything_else_is_refused(tmp_path, content, reason):
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=reason):
        load(path)


def test_the_state_dict_of_another_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "linear.pth")
    with pytest.raises(ModelError, match="not those of HINet, EDSR or CAR"):
        load(tmp_path / "linear.pth")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="no state dict"):
        load(tmp_path / "list.pth")


def test_half_precision_of_a_published_file_is_read_as_float32(tmp_path):
    path = save_hinet(tmp_path / "h.pth", hinet().half())
    assert formats.read(path).network().conv_01.weight.dtype == torch.float32


def test_published_bytes_need_no_zip_suffix(tmp_path):
    buffer = io.BytesIO()
    torch.save({"params": hinet().state_dict()}, buffer)
    (tmp_path / "renamed.bin").write_bytes(buffer.getvalue())
    assert load(tmp_path / "renamed.bin").architecture == "hinet"
