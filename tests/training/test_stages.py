import pytest
import torch
from torch import nn

from dunrestore.checkpoints.formats import save
from dunrestore.errors import ConfigError, ModelError
from dunrestore.models.normalisation import InstanceNorm
from dunrestore.training.config import make_config
from dunrestore.training.stages import STAGES, make_network, supervised
from tests.training.tiny import tiny


def made(tmp_path, stage, **more):
    return make_network(tiny(tmp_path, stage=stage, **more))


def saved(tmp_path, stage, **more):
    path = tmp_path / f"{stage}.safetensors"
    save(path, made(tmp_path, stage, **more), STAGES[stage].architecture, {}, dtype=torch.float32)
    return str(path)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_network_and_something_to_learn(tmp_path, stage):
    network = made(tmp_path, stage)
    outputs = network(torch.rand(2, 3, 16, 16))
    learning = supervised(outputs)
    expected = {"car": 1, "hinet-dr": 2, "hinet-db": 2, "arin": 2, "arin-joint": 3,
                "arin-guided": 3}  # fmt: skip
    assert len(learning) == expected[stage]
    assert learning[-1].shape == (2, 3, 16, 16)


def test_the_seed_makes_the_weights(tmp_path):
    one, same, other = (made(tmp_path, "car", seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not all(torch.equal(one[k], other[k]) for k in one)


def test_statistics_may_be_local_while_training_too(tmp_path):
    network = made(tmp_path, "hinet-dr", window=8)
    norms = [m for m in network.modules() if isinstance(m, InstanceNorm)]
    assert {(m.level, m.window) for m in norms} == {(0, 8), (1, 4)}
    network(torch.rand(2, 3, 16, 16))[-1].square().mean().backward()
    assert all(m.weight.grad.abs().sum() > 0 for m in norms)
    assert all(m.window is None for m in made(tmp_path, "hinet-dr").modules()
               if isinstance(m, InstanceNorm))  # fmt: skip


def test_a_frozen_part_with_random_weights_is_warned_of(tmp_path, caplog):
    hinet, car = (saved(tmp_path, stage) for stage in ("hinet-db", "car"))
    for init in ((), (hinet,)):
        caplog.clear()
        made(tmp_path, "arin", init=init)
        assert "car does not learn and starts from no model" in caplog.text
    caplog.clear()
    arin = saved(tmp_path, "arin", init=(car, hinet))
    made(tmp_path, "arin", init=(arin,))
    made(tmp_path, "arin-joint")
    assert caplog.text == ""


def test_only_hinet_learns_in_arin_and_both_do_jointly(tmp_path):
    staged = made(tmp_path, "arin")
    assert not any(p.requires_grad for p in staged.car.parameters())
    assert all(p.requires_grad for p in staged.hinet.parameters())
    joint = made(tmp_path, "arin-joint")
    joint(torch.rand(1, 3, 16, 16))[-1].square().mean().backward()
    assert joint.car.get_parameter("kgn.ds_1.1.weight").grad.abs().sum() > 0, (
        "no gradient through the rounding"
    )


def test_arin_starts_from_car_and_hinet_of_their_own_sizes(tmp_path):
    parts = (saved(tmp_path, "car", car_width=6), saved(tmp_path, "hinet-db", hinet_width=4))
    unsized = {"car_width": None, "hinet_width": None, "hinet_depth": None, "car_blocks": None,
               "edsr_blocks": None, "edsr_features": None}  # fmt: skip
    network = made(tmp_path, "arin", init=parts, **unsized)
    assert network.config.car.width == 6
    assert network.config.hinet.width == 4
    own = made(tmp_path, "car", car_width=6).state_dict()
    assert all(torch.equal(network.car.state_dict()[k], own[k]) for k in own)
    hinet = made(tmp_path, "hinet-db", hinet_width=4).state_dict()
    assert all(torch.equal(network.hinet.state_dict()[k], hinet[k]) for k in hinet)


def test_a_model_is_fine_tuned_with_its_own_dimensions(tmp_path):
    init = (saved(tmp_path, "hinet-dr", hinet_width=6),)
    network = made(tmp_path, "hinet-db", init=init, hinet_width=None, hinet_depth=None)
    assert (network.config.width, network.config.hin_first) == (6, 0)


def test_a_shallower_network_takes_the_upper_levels_of_a_deeper_one(tmp_path):
    deep = made(tmp_path, "arin", hinet_depth=4)
    path = tmp_path / "deep.safetensors"
    save(path, deep, "arin", {}, dtype=torch.float32)
    shallow = made(tmp_path, "arin-joint", init=(str(path),), hinet_depth=3)
    old, new = deep.state_dict(), shallow.state_dict()
    for name, same in (
        ("hinet.up_path_2.0.up.weight", "hinet.up_path_2.1.up.weight"),
        ("hinet.skip_conv_1.1.weight", "hinet.skip_conv_1.2.weight"),
        ("hinet.down_path_2.1.csff_enc.weight", "hinet.down_path_2.1.csff_enc.weight"),
        ("hinet.down_path_1.2.conv_2.weight", "hinet.down_path_1.2.conv_2.weight"),
        ("hinet.last.weight", "hinet.last.weight"),
    ):
        assert torch.equal(new[name], old[same])
    assert all(torch.equal(new[name], old[name]) for name in new if name.startswith("car."))


def test_a_deeper_network_cannot_start_from_a_shallower_one(tmp_path):
    init = (saved(tmp_path, "hinet-db", hinet_depth=3),)
    with pytest.raises(ModelError, match="has the shape"):
        made(tmp_path, "hinet-db", init=init, hinet_depth=4)


def test_guided_takes_over_a_hinet_and_begins_with_the_fill(tmp_path):
    init = (saved(tmp_path, "hinet-db"),)
    guided = made(tmp_path, "arin-guided", init=init)
    hinet = made(tmp_path, "hinet-db")
    first = guided.hinet.conv_01.weight
    torch.testing.assert_close(first[:, :3], hinet.conv_01.weight)
    assert not first[:, 3:].any()
    _, filled, stage, result = guided(torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16).round())
    torch.testing.assert_close(stage, filled)
    torch.testing.assert_close(result, filled)


def test_guided_goes_on_from_a_guided_one(tmp_path):
    trained = made(tmp_path, "arin-guided")
    nn.init.normal_(trained.hinet.last.weight)
    path = tmp_path / "guided.safetensors"
    save(path, trained, "guided", {}, dtype=torch.float32)
    again = made(tmp_path, "arin-guided", init=(str(path),))
    torch.testing.assert_close(again.hinet.last.weight, trained.hinet.last.weight)


def test_a_finder_with_more_levels_begins_with_what_it_found_before(tmp_path):
    trained = made(tmp_path, "arin-guided", finder_depth=2)
    path = tmp_path / "guided.safetensors"
    save(path, trained, "guided", {}, dtype=torch.float32)
    deeper = made(tmp_path, "arin-guided", init=(str(path),), finder_depth=4)
    picture = torch.rand(1, 3, 32, 32)
    found = deeper.finder(picture)
    torch.testing.assert_close(found, trained.finder(picture))
    found.square().mean().backward()
    joint = deeper.finder.get_parameter("up_path.1.conv_block.identity.weight").grad
    assert joint[:, : len(joint)].abs().sum() > 0, "the new levels would never have a say"
    path = tmp_path / "deeper.safetensors"
    save(path, deeper, "guided", {}, dtype=torch.float32)
    shallow = made(tmp_path, "arin-guided", init=(str(path),), finder_depth=2)
    torch.testing.assert_close(
        shallow.finder.up_path[0].up.weight, trained.finder.up_path[0].up.weight
    )


def test_another_architecture_or_size_is_one_line(tmp_path):
    init = (saved(tmp_path, "car"),)
    with pytest.raises(ModelError, match=r"car\.safetensors: holds CAR.* cannot start from it"):
        made(tmp_path, "hinet-db", init=init)
    init = (saved(tmp_path, "hinet-db"),)
    with pytest.raises(ModelError, match=r"has the shape .* the network to train has the shape"):
        made(tmp_path, "hinet-db", init=init, hinet_width=8)


def test_two_models_for_one_part_are_refused(tmp_path):
    car, hinet = (saved(tmp_path, stage) for stage in ("car", "hinet-db"))
    other = saved(tmp_path, "hinet-dr")
    for stage, init in (("arin", (car, hinet, other)), ("hinet-dr", (other, hinet))):
        with pytest.raises(ConfigError, match=r"which takes all of its place; give one --init"):
            made(tmp_path, stage, init=init)
    whole = saved(tmp_path, "arin", init=(car, hinet))
    made(tmp_path, "arin", init=(whole, hinet))
    with pytest.raises(ConfigError, match="takes all of its place"):
        made(tmp_path, "arin", init=(hinet, whole))


def test_a_stage_that_keeps_its_models_normalisation_says_so(tmp_path, caplog):
    hinet = saved(tmp_path, "hinet-db")
    made(tmp_path, "hinet-db", init=(hinet,))
    assert not caplog.text
    assert made(tmp_path, "hinet-dr", init=(hinet,)).config.hin_first == 3
    assert "levels 3 to 4, as the model it starts from, not at 0 to 4 as hinet-dr" in caplog.text


def test_sizes():
    def parameters(stage, size):
        with torch.device("meta"):
            network = make_network(make_config({"stage": stage, "size": size}))
        return sum(p.numel() for p in network.parameters())

    assert parameters("hinet-db", "compact") < 6e6 < 8e7 < parameters("hinet-db", "full")
    assert parameters("car", "compact") < 3e6 < 5e7 < parameters("car", "full")
