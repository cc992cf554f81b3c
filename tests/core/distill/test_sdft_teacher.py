"""Who scores: the trap of a teacher that is the student with its adapter switched off (methods.md A3)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.distill.batch import Batch, collate, predicting
from core.distill.head import hidden_states
from core.distill.teacher import Teacher, open_teacher
from core.lm.adapter import add_lora, save_adapter
from core.lm.checkpoint import Checkpoint, write_manifest
from core.lm.load import load_model
from core.recipe.stage_specs import QuantizeSpec
from core.stages import quantize
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32
from tests.helpers.training import stand

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

BATCH = collate([[5, 6, 7], [8]], [[20, 21], [22, 23, 24]], 0, torch.device("cpu"))


def states(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return predicting(
            hidden_states(model, BATCH.input_ids, BATCH.attention_mask),  # type: ignore[arg-type]
            BATCH,
        )


def student_of(checkpoint: Checkpoint) -> nn.Module:
    """A LoRA student whose adapter changes what it computes, in training mode."""
    model = add_lora(load_model(checkpoint, CPU32), 4, 8, seed=0)
    for name, parameter in model.named_parameters():
        if ".default." in name and "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    return model.train()


def quantized(place: Stand) -> Checkpoint:
    made = quantize.run(QuantizeSpec(id="nf4"), place.checkpoints["base"], place.context("nf4"))
    place.checkpoints["nf4"] = made
    return made


def adapter_over(place: Stand, parent: str) -> Checkpoint:
    """A saved adapter checkpoint over `parent`."""
    context = place.context("first")
    model = student_of(place.checkpoints[parent])
    save_adapter(model, context.folder)  # type: ignore[arg-type]
    made = replace(
        place.checkpoints[parent],
        identity=context.identity,
        path=context.folder,
        parent=place.checkpoints[parent].identity,
        parent_path=place.checkpoints[parent].path,
        storage="adapter",
        facts={},
    )
    write_manifest(made)
    return made


def check(teacher: Teacher, expected: Tensor, batch: Batch = BATCH) -> None:
    torch.testing.assert_close(
        teacher.taught(batch).hidden.view_as(expected).clone(), expected, atol=1e-5, rtol=1e-5
    )


def test_that_an_nf4_student_with_the_base_as_teacher_never_switches_its_adapter_off(
    tmp_path: Path,
) -> None:
    place = stand(tmp_path)
    packed, base = quantized(place), place.checkpoints["base"]
    student = student_of(packed)
    theta, theta_1 = states(load_model(base, CPU32)), states(load_model(packed, CPU32))
    assert not torch.allclose(theta, theta_1, atol=0.01)

    teacher = open_teacher(base, packed, student, CPU32)  # type: ignore[arg-type]

    assert teacher.network == "own"
    check(teacher, theta)


def test_that_an_nf4_student_may_be_its_own_degraded_teacher(tmp_path: Path) -> None:
    place = stand(tmp_path)
    packed = quantized(place)
    student = student_of(packed)

    teacher = open_teacher(packed, packed, student, CPU32)  # type: ignore[arg-type]

    assert teacher.network == "parent"
    check(teacher, states(load_model(packed, CPU32)))


def test_that_sharing_leaves_the_student_as_it_was(tmp_path: Path) -> None:
    base = stand(tmp_path).checkpoints["base"]
    student = student_of(base)
    before = states(student)
    flags = {name: parameter.requires_grad for name, parameter in student.named_parameters()}
    modes = [module.training for module in student.modules()]

    teacher = open_teacher(base, base, student, CPU32)  # type: ignore[arg-type]
    check(teacher, states(load_model(base, CPU32)))

    assert torch.equal(states(student), before)
    taught = teacher.taught(BATCH).hidden.view_as(before)
    assert not torch.allclose(before, taught, atol=0.01)
    assert flags == {
        name: parameter.requires_grad for name, parameter in student.named_parameters()
    }
    assert modes == [module.training for module in student.modules()]


def test_that_a_parent_that_is_an_adapter_stays_on_when_it_teaches(tmp_path: Path) -> None:
    place = stand(tmp_path)
    first = adapter_over(place, "base")
    student = student_of(first)
    expected = states(load_model(first, CPU32))
    assert not torch.allclose(expected, states(load_model(place.checkpoints["base"], CPU32)))

    teacher = open_teacher(first, first, student, CPU32)  # type: ignore[arg-type]

    assert teacher.network == "parent"
    check(teacher, expected)
    other = open_teacher(place.checkpoints["base"], first, student, CPU32)  # type: ignore[arg-type]
    assert other.network == "own"


def test_that_full_training_never_shares(tmp_path: Path) -> None:
    base = stand(tmp_path).checkpoints["base"]
    student = load_model(base, CPU32).train()
    expected = states(student)

    teacher = open_teacher(base, base, student, CPU32)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 0.1

    assert teacher.network == "own"
    check(teacher, expected)


def test_that_the_teacher_gives_states_without_a_graph(tmp_path: Path) -> None:
    base = stand(tmp_path).checkpoints["base"]
    student = student_of(base)

    for checkpoint, parent in ((base, base), (base, replace(base, identity="other"))):
        teacher = open_teacher(checkpoint, parent, student, CPU32)  # type: ignore[arg-type]
        found = teacher.taught(BATCH).hidden
        assert not found.requires_grad
        assert found.is_inference()
