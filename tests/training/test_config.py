import tomllib
from dataclasses import asdict, fields

import pytest

from dunrestore.degradations.recipes import RECIPES
from dunrestore.errors import ConfigError
from dunrestore.training.config import TrainConfig, as_values, make_config, read_toml, to_toml
from dunrestore.training.presets import PRESETS

STAGES = list(PRESETS["paper"])


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("stage", STAGES)
def test_every_preset_is_valid_and_survives_toml(preset, stage, tmp_path):
    config = make_config({"stage": stage, "preset": preset})
    file = tmp_path / "run.toml"
    file.write_text(to_toml(config), encoding="utf-8")
    assert make_config(read_toml(file)) == config
    assert make_config(as_values(config)) == config


def test_the_papers_recipes():
    car = make_config({"stage": "car", "preset": "paper"})
    assert (car.loss, car.batch, car.iterations, car.patch) == ("l1", 10, 6000, 128)
    hinet = make_config({"stage": "hinet-db", "preset": "paper"})
    assert (hinet.loss, hinet.batch, hinet.optimizer, hinet.clip) == ("psnr", 4, "adam", 0.01)
    arin = make_config({"stage": "arin", "preset": "paper"})
    assert (arin.iterations, arin.lr, arin.lr_final, arin.beta2) == (100_000, 2e-4, 1e-7, 0.99)
    assert arin.size == "full"
    assert arin.damage() == RECIPES["challenge"]


def test_later_layers_win_over_earlier_ones_and_over_the_preset():
    config = make_config({"preset": "paper", "lr": 0.5, "batch": 3}, {"lr": 1})
    assert (config.lr, config.batch, config.loss) == (1.0, 3, "psnr")


def test_every_field_says_what_it_is():
    assert all(len(f.metadata["help"]) > 10 for f in fields(TrainConfig))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bacth": 3}, "did you mean 'batch'"),
        ({"learning_rate": 3}, "unknown field 'learning_rate'; --print-config"),
        ({"batch": "many"}, "batch must be a whole number, not 'many'"),
        ({"batch": True}, "batch must be a whole number"),
        ({"lr": "1e-3"}, "lr must be a number"),
        ({"stage": "gan"}, "stage must be one of car,"),
        ({"init": "a.safetensors"}, "init must be a list of texts"),
        ({"lr": -1.0}, "lr must be at least 0"),
        ({"lr": float("nan")}, "lr must be at least 0"),
        ({"lr": float("inf")}, "lr must be finite"),
        ({"painted": 1.5}, "painted is a share between 0 and 1"),
        ({"batch": 5, "accumulate": 2}, "a batch of 5 cannot be computed in 2"),
        ({"hinet_width": 0}, "hinet_width must be at least 1, not 0"),
        ({"hinet_depth": 0}, "hinet_depth must be at least 1"),
        ({"finder_width": 0}, "finder_width must be at least 1"),
        ({"car_width": 0}, "car_width must be at least 1"),
        ({"car_blocks": -1}, "car_blocks must be at least 1, not -1"),
        ({"edsr_blocks": 0}, "edsr_blocks must be at least 1"),
        ({"edsr_features": 0}, "edsr_features must be at least 1"),
        ({"overlap": 128}, "an overlap of 128 must be below"),
        ({"coverage_min": 50.0}, "the least not above the most: here 50 and 33"),
        ({"coverage_min": 30.0, "coverage_max": 10.0}, "between 0 and 100 %, .* here 30 and 10"),
        ({"gaussian": 300.0}, "gaussian must lie"),
        ({"jpeg": 0}, "jpeg quality"),
    ],
)
def test_what_is_wrong_is_one_line(values, message):
    with pytest.raises(ConfigError, match=message):
        make_config(values)


def test_damage_options_go_over_the_recipe():
    config = make_config({"coverage_min": 5.0, "coverage_max": 10, "gaussian": 20, "jpeg": 25})
    recipe = config.damage()
    assert recipe.damages[0].coverage == (0.05, 0.1)
    assert recipe.gaussian == (0, 20)
    assert recipe.gaussian_probability == 0.5
    assert recipe.jpeg == (25, 95)


def test_every_recipe_can_be_trained_on():
    for recipe in RECIPES:
        assert make_config({"recipe": recipe}).damage() == RECIPES[recipe]


def test_a_file_that_is_no_toml_is_named(tmp_path):
    file = tmp_path / "broken.toml"
    file.write_text("batch = = 3")
    with pytest.raises(ConfigError, match=r"broken\.toml: not a TOML file"):
        read_toml(file)


@pytest.mark.parametrize("line", ['batch = "x"', "batches = 3", 'recipe = "none"'])
def test_what_is_wrong_in_a_file_names_the_file(tmp_path, line):
    file = tmp_path / "wrong.toml"
    file.write_text(line)
    with pytest.raises(ConfigError, match=r"^[^ ]*wrong\.toml: "):
        read_toml(file)


def test_fields_that_are_not_set_stay_out_of_the_toml():
    values = tomllib.loads(to_toml(TrainConfig()))
    assert values.keys() == {k for k, v in asdict(TrainConfig()).items() if v is not None}
