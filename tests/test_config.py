"""The configuration, its tables, and what is generated from it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import config_docs
from conftest import ROOT
from plmscale.errors import InputError
from plmscale.study.config import Config
from plmscale.study.study import Study, load_study

MODELS = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules\n"
SUBSETS = "name\tkind\tmin_identity\tsame_size_as\tn_sequences\ttrain\n"


def study(
    folder: Path, *, models: str = "S\t1\t16\t64\t1\t1e-3\tconstant\n", subsets: str = "all\tall\t\t\t10\tyes\n", **raw
):
    (folder / "models.tsv").write_text(MODELS + models)
    (folder / "subsets.tsv").write_text(SUBSETS + subsets)
    paths = {"models": str(folder / "models.tsv"), "subsets": str(folder / "subsets.tsv")}
    return load_study(paths | raw, base=folder)


def test_config_yaml_is_complete_and_holds_the_defaults():
    written = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    assert Config.model_validate(written) == Config()
    assert set(_keys(written)) == set(_keys(Config().model_dump()))


def _keys(block: dict, prefix: str = ""):
    for key, value in block.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


def test_schema_and_reference_have_not_drifted():
    """After a change of config.py: python docs/generators/config_docs.py."""
    assert (ROOT / "workflow/schemas/config.schema.yaml").read_text() == config_docs.schema()
    assert (ROOT / "config/README.md").read_text() == config_docs.readme()


def test_every_block_of_settings_has_a_section_with_its_settings():
    text = config_docs.readme().partition("## Tables")[0]
    sections = dict(re.findall(r"^### `([\w.]+)`\n(.*?)(?=^##|\Z)", text, re.M | re.S))
    keys = re.findall(r"^\| `([\w.]+)` \|", text, re.M)
    assert {key.rpartition(".")[0] for key in keys if "." in key} <= set(sections)
    for block, body in sections.items():
        own = [key for key in keys if key.rpartition(".")[0] == block]
        assert re.findall(r"^\| `([\w.]+)` \|", body, re.M) == own, block


def test_every_setting_is_described():
    assert not re.findall(r"\| *\|$", config_docs.readme(), re.M)


def test_conda_environment_names_the_packages_of_all_extras_of_the_workflow():
    """Core, `train`, `workflow` and `publish`: rules run there, training among them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "envs/plmscale.yaml").read_text())["dependencies"]
    pip = next(d["pip"] for d in environment if isinstance(d, dict))
    extras = project["optional-dependencies"]
    assert pip == sorted({*project["dependencies"], *extras["train"], *extras["workflow"], *extras["publish"]})
    assert f"python{project['requires-python']}" in environment


def test_study_round_trip(paper_study):
    assert Study.from_json(paper_study.to_json()) == paper_study


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ("S\t1\t30\t64\t4\t1e-3\tconstant\n", ["line 2", "d_model 30", "24 or 32"]),
        ("S\t1\t16\t64\t1\t1e-3\tcosin\n", ["line 2", "schedules.0", "'cosin'", "'wsd'"]),
        ("S\t0\t16\t64\t1\t1e-3\tconstant\n", ["line 2", "n_layers", "'0'"]),
        ("S\t1\t16\t64\t1\t1e-3\n", ["line 2", "6 cells", "7 columns"]),
        ("S\t1\t16\t64\t1\t1e-3\tconstant\n" * 2, ["line 3", "'S'", "line 2"]),
        ("a b\t1\t16\t64\t1\t1e-3\tconstant\n", ["line 2", "name", "'a b'"]),
        ("", ["no rows", "n_layers"]),
    ],
)
def test_bad_rows_of_models(tmp_path, models, says):
    with pytest.raises(InputError) as error:
        study(tmp_path, models=models)
    assert "models.tsv" in str(error.value)
    assert all(part in str(error.value) for part in says)


@pytest.mark.parametrize(
    ("subsets", "says"),
    [
        ("a\tall\t0.4\t\t10\tyes\n", ["line 2", "min_identity is 0.4"]),
        ("a\tcluster\t\t\t10\tyes\n", ["line 2", "min_identity is None"]),
        ("a\tcluster\t40\t\t10\tyes\n", ["line 2", "min_identity", "'40'"]),
        ("a\tsample\t\ta\t10\tyes\n", ["line 2", "'a'"]),
        ("a\tall\t\ta\t10\tyes\n", ["line 2", "same_size_as is for kind 'sample'"]),
        ("holdout\tall\t\t\t10\tyes\n", ["line 2", "taken"]),
        ("a\tall\t\t\t10\tno\n", ["nothing to train"]),
        ("a\tall\t\t\t10\tmaybe\n", ["line 2", "train", "'maybe'"]),
    ],
)
def test_bad_rows_of_subsets(tmp_path, subsets, says):
    with pytest.raises(InputError) as error:
        study(tmp_path, subsets=subsets)
    assert "subsets.tsv" in str(error.value)
    assert all(part in str(error.value) for part in says)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"sourc": "x"}, ["sourc: no such setting", "source"]),
        ({"training": {"masking": {"fractoin": 0.1}}}, ["training.masking.fractoin", "mask_share"]),
        ({"training": {"optimizer": {"epsilon": 1e8}}}, ["training.optimizer.epsilon", "0.001", "100000000.0"]),
        (
            {"training": {"masking": {"mask_share": 0.9, "random_share": 0.2}}},
            ["training.masking", "must not exceed 1"],
        ),
        ({"seeds": []}, ["seeds", "at least 1"]),
        ({"source_md5": "xyz"}, ["source_md5", "'xyz'"]),
        ({"max_length": 4}, ["max_length", "4"]),
    ],
)
def test_bad_settings(tmp_path, raw, says):
    with pytest.raises(InputError) as error:
        study(tmp_path, **raw)
    assert all(part in str(error.value) for part in says)
