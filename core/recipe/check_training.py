"""Which settings of a training do not go together, and why: the table of teachers among them.

The table (methods.md A3), as far as a recipe alone can tell:

* base, expert, any earlier stage, or a further model teaches every student: it is a network of its own unless
  it is the very checkpoint that the student's adapter lies on. With a quantized student the base is therefore
  the undegraded model, never the student without its adapter.
* live and ema are the student's own network, with its own or with averaged trainable weights: the shapes agree
  by construction, and packed weights are never averaged, because they are never trained.
* What follows the student cannot be computed ahead of it.
* CKA compares the student with one network that is not itself: not with live, and not with several that
  score the same tokens. In the loss it needs the teacher's network beside the student at every step.

Whether tokenizers agree needs the files: `core.stages.teachers` says that before the training.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.recipe.field import LIVE
from core.recipe.messages import Problem
from core.recipe.stage_specs import StageSpec
from core.recipe.training_specs import DistillSpecBase, SdftSpec, TrainSpec


def check_distillation(path: str, spec: StageSpec) -> Iterator[Problem]:
    """What is wrong inside one stage; `path` is put before the fields."""
    if isinstance(spec, TrainSpec):
        yield from _held_out(path, spec)
    if isinstance(spec, DistillSpecBase):
        yield from _distance(path, spec)
    if isinstance(spec, SdftSpec):
        yield from _teachers(path, spec)
        yield from _rollouts(path, spec)
        yield from _cache(path, spec)
        yield from _geometry(path, spec)


def _held_out(path: str, spec: TrainSpec) -> Iterator[Problem]:
    if spec.eval_steps and not spec.held_out_items:
        yield Problem(
            f"{path}.held_out_items",
            "The held-out loss is to be measured, and no items are held out.",
            "Hold out some items, 32 for example, or set eval_steps to 0.",
        )
    if spec.early_stopping_patience and not spec.eval_steps:
        yield Problem(
            f"{path}.eval_steps",
            "Early stopping needs the held-out loss, and it is never measured.",
            "Set eval_steps, for example to 20, or empty early_stopping_patience.",
        )


def _distance(path: str, spec: DistillSpecBase) -> Iterator[Problem]:
    if spec.max_completion_length <= spec.num_loss_tokens_to_skip:
        yield Problem(
            f"{path}.max_completion_length",
            f"With answers of at most {spec.max_completion_length} tokens, of which the first "
            f"{spec.num_loss_tokens_to_skip} carry no loss, nothing can be learned.",
            f"Allow more than {spec.num_loss_tokens_to_skip} tokens.",
        )


def _teachers(path: str, spec: SdftSpec) -> Iterator[Problem]:
    names = spec.teachers
    if not names:
        yield Problem(f"{path}.teacher", "There is no teacher.", "Name base, or an earlier stage.")
    for index, name in enumerate(names):
        if name in names[:index] and spec.teacher_pool != "routed":
            yield Problem(
                f"{path}.teacher.{index}",
                f"{name} is named twice.",
                "Name each teacher once, and give it a larger weight in teacher_weights.",
            )
    if spec.teacher_weights and len(spec.teacher_weights) != len(names):
        yield Problem(
            f"{path}.teacher_weights",
            f"There are {len(names)} teachers and {len(spec.teacher_weights)} weights.",
            "Give one weight a teacher, or none.",
        )
    if any(not 0 < weight < float("inf") for weight in spec.teacher_weights):
        yield Problem(
            f"{path}.teacher_weights",
            "A weight is not above zero.",
            "Leave a teacher out rather than give it no weight.",
        )
    if spec.teacher_weighting == "likelihood" and spec.teacher_weights:
        yield Problem(
            f"{path}.teacher_weights",
            "Weights are given, and are also to follow from the demonstrations.",
            "Empty teacher_weights, or set teacher_weighting to fixed.",
        )
    if spec.teacher_pool == "routed" and len(names) != len(spec.datasets):
        yield Problem(
            f"{path}.teacher",
            f"There are {len(names)} teachers for {len(spec.datasets)} datasets.",
            "With teacher_pool routed, name one teacher for each dataset, in their order.",
        )


def _rollouts(path: str, spec: SdftSpec) -> Iterator[Problem]:
    if spec.max_steps is not None and spec.max_steps % spec.num_iterations:
        yield Problem(
            f"{path}.max_steps",
            f"{spec.max_steps} steps are no multiple of the {spec.num_iterations} that learn from the same "
            "completions.",
            "Choose a multiple of num_iterations.",
        )


def _cache(path: str, spec: SdftSpec) -> Iterator[Problem]:
    if not spec.teacher_cache_steps:
        return
    place = f"{path}.teacher_cache_steps"
    following = [name for name in spec.teachers if spec.follows_student]
    if following:
        yield Problem(
            place,
            f"{' and '.join(following)} follows the student, so its scores cannot be kept ahead.",
            "Choose a teacher that stays as it is, or set teacher_cache_steps to 0.",
        )
    if spec.divergence != "forward_kl" or spec.distillation_topk is None:
        yield Problem(
            place,
            "Only the teacher's likeliest tokens are kept, which is enough for forward KL over them alone.",
            "Set divergence to forward_kl and distillation_topk, to 100 for example.",
        )
    if spec.teacher_cache_steps % spec.num_iterations:
        yield Problem(
            place,
            f"{spec.teacher_cache_steps} steps are no multiple of the {spec.num_iterations} that learn from the "
            "same completions.",
            "Choose a multiple of num_iterations.",
        )


def _geometry(path: str, spec: SdftSpec) -> Iterator[Problem]:
    """Where CKA is to be learned, or to be looked at."""
    in_loss, looked_at = spec.cka_loss != "off", spec.looks_at_cka
    for wanted, name, off in (
        (in_loss, "cka_loss", "off"),
        (looked_at, "early_stopping_criterion", "loss"),
    ):
        if wanted and LIVE in spec.teachers:
            yield Problem(
                f"{path}.{name}",
                "The teacher live is the student itself, and CKA with oneself is always 1.",
                f"Choose another teacher, or set {name} to {off}.",
            )
    if in_loss and len(spec.teachers) > 1 and spec.teacher_pool != "routed":
        yield Problem(
            f"{path}.cka_loss",
            "Several teachers score the same tokens, and CKA compares the student with one network.",
            "Name one teacher, set teacher_pool to routed, or cka_loss to off.",
        )
    if looked_at and len(spec.teachers) > 1:
        yield Problem(
            f"{path}.early_stopping_criterion",
            "There are several teachers, and CKA compares the student with one network.",
            "Name one teacher, or set early_stopping_criterion to loss.",
        )
    if in_loss and spec.teacher_cache_steps:
        yield Problem(
            f"{path}.cka_loss",
            "The teacher is freed while the student trains, and CKA compares the two at every step.",
            "Set teacher_cache_steps to 0, or cka_loss to off.",
        )
