"""The specs of the stages that train, beyond what all of them set: demonstrations, teachers, distances, geometry.

Field names follow TRL's `SDFTConfig` and `GKDConfig` where one exists.
"""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from core.events import Role
from core.recipe.field import BASE, EMA, LIVE, StageId, about
from core.recipe.template import TEACHER_TEMPLATE, problem_of
from core.recipe.training_base import TrainSpecBase


class SftSpec(TrainSpecBase):
    """Supervised fine-tuning on the demonstrations: next-token loss on the answer."""

    kind: Literal["sft"] = "sft"
    teacher: StageId | None = about(
        "Checkpoint that first rewrites each demonstration in its own words (offline self-distillation); "
        "by default they are learned as they are.",
        default=None,
        advanced=True,
    )
    teacher_template: str = about(
        "How question and demonstration are put to the teacher that rewrites.",
        default=TEACHER_TEMPLATE,
        advanced=True,
    )
    replay: str | list[str] = about(
        "Dataset or datasets of earlier training that are mixed in, against forgetting.",
        default=[],
        advanced=True,
    )
    replay_ratio: float = about(
        "Share of replayed items among all.", default=0.2, gt=0, lt=1, advanced=True
    )
    role: Role = about(
        "Expert for a trained skill, degraded for forgetting, recovered when SFT is the recovery.",
        default="degraded",
    )

    @field_validator("teacher_template")
    @classmethod
    def _template(cls, value: str) -> str:
        return _checked(value)

    @property
    def replayed(self) -> tuple[str, ...]:
        """Names of the replayed datasets."""
        return (self.replay,) if isinstance(self.replay, str) else tuple(self.replay)


class DistillSpecBase(TrainSpecBase):
    """What learning from a teacher's distributions has: template, distance, memory."""

    teacher_template: str = about(
        "How question and demonstration are put to the teacher.",
        default=TEACHER_TEMPLATE,
        advanced=True,
    )
    divergence: Literal["forward_kl", "reverse_kl", "jsd"] = about(
        "Distance between teacher and student at each token.",
        default="forward_kl",
        paper="KL, direction not stated",
    )
    distillation_alpha: float = about(
        "Of the Jensen-Shannon divergence: the teacher's share in the mixture.",
        default=0.5,
        gt=0,
        lt=1,
        advanced=True,
    )
    jsd_normalised: bool = about(
        "Divide the Jensen-Shannon divergence by alpha (1 - alpha), so that its ends are the two KLs; "
        "off, it is as in TRL, whose gradient vanishes towards the ends.",
        default=True,
        advanced=True,
    )
    distillation_topk: int | None = about(
        "Compare only so many of the likeliest tokens, and the rest as one; empty: the whole vocabulary.",
        default=None,
        ge=1,
        le=100000,
        unit="tokens",
        advanced=True,
    )
    distillation_clip: float | None = about(
        "A token's divergence counts for at most this; empty: no limit.",
        default=None,
        gt=0,
        le=1000,
        unit="nats",
        advanced=True,
    )
    num_loss_tokens_to_skip: int = about(
        "First tokens of each completion that carry no loss; hides artefacts such as “Based on the example…”.",
        default=3,
        ge=0,
        le=256,
        unit="tokens",
    )
    temperature: float = about(
        "Sampling temperature; both distributions are divided by it.", default=1.0, gt=0, le=5
    )
    chunk_tokens: int = about(
        "Tokens whose logits exist at once.",
        default=256,
        ge=1,
        le=65536,
        unit="tokens",
        advanced=True,
    )
    logging_completions: int = about(
        "Steps between completions kept for reading.",
        default=5,
        ge=1,
        le=100000,
        unit="steps",
        advanced=True,
    )

    @field_validator("teacher_template")
    @classmethod
    def _template(cls, value: str) -> str:
        return _checked(value)


class BootstrapSpec(DistillSpecBase):
    """Off-policy distillation from a larger teacher; both are shown the demonstration (section 5.3, stage 1)."""

    kind: Literal["bootstrap"] = "bootstrap"
    teacher: StageId = about("The larger model, or any earlier stage; frozen.")
    completions: Literal["demonstration", "teacher"] = about(
        "Whose tokens are learned: the demonstration's, or answers that the teacher samples.",
        default="demonstration",
        paper="off-policy; not stated whose",
    )
    role: Role = about(
        "Which part the checkpoint plays in comparisons.", default="expert", advanced=True
    )


class SdftSpec(DistillSpecBase):
    """Self-distillation fine-tuning: the student's own completions, scored by a teacher that was shown the demonstration."""

    kind: Literal["sdft"] = "sdft"
    teacher: StageId | list[StageId] = about(
        "Who scores: base, any earlier stage, a model of the recipe; live (the student itself) or ema "
        "(its running average); or several of them.",
        default=BASE,
        paper="base, or the expert",
    )
    teacher_pool: Literal["linear", "log_linear", "routed"] = about(
        "How several teachers become one: mean of probabilities, mean of log-probabilities, or the first "
        "teacher for the first dataset and so on.",
        default="linear",
        advanced=True,
    )
    teacher_weighting: Literal["fixed", "likelihood"] = about(
        "Weights of several teachers: those below, or for each item by how likely the demonstration is to each.",
        default="fixed",
        advanced=True,
    )
    teacher_weights: list[float] = about(
        "One weight a teacher; empty weighs all the same.", default=[], advanced=True
    )
    teacher_update_rate: float = about(
        "Of the teacher ema: how far it moves to the student at each update.",
        default=0.01,
        gt=0,
        le=1,
        advanced=True,
    )
    teacher_sync_steps: int = about(
        "Of the teacher ema: steps between updates.",
        default=1,
        ge=1,
        le=100000,
        unit="steps",
        advanced=True,
    )
    teacher_cache_steps: int = about(
        "Two-phase mode for small memory: answers of so many steps are sampled and scored at once, the "
        "teacher's likeliest tokens kept and its network freed before these steps train; 0: it stays loaded.",
        default=0,
        ge=0,
        le=100000,
        unit="steps",
        advanced=True,
    )
    num_generations: int = about(
        "Completions of each prompt.", default=1, ge=1, le=256, advanced=True
    )
    top_p: float = about(
        "Sample from the likeliest tokens that together have this probability.",
        default=1.0,
        gt=0,
        le=1,
        advanced=True,
    )
    top_k: int = about(
        "Sample from so many likeliest tokens; 0: from all.",
        default=0,
        ge=0,
        le=100000,
        unit="tokens",
        advanced=True,
    )
    min_p: float = about(
        "Sample only tokens with at least this share of the likeliest one's probability.",
        default=0.0,
        ge=0,
        lt=1,
        advanced=True,
    )
    lmbda: float = about(
        "Share of completions that the student samples; the others are the teacher's, who sees the demonstration.",
        default=1.0,
        ge=0,
        le=1,
        label="On-policy share",
        advanced=True,
    )
    num_iterations: int = about(
        "Optimizer steps that learn from the same completions.",
        default=1,
        ge=1,
        le=64,
        unit="steps",
        advanced=True,
    )
    distillation_is_clip: float | None = about(
        "Where the student has moved on since it sampled: each token is weighed by the ratio of its "
        "probabilities, at most this; none: not weighed.",
        default=2.0,
        gt=0,
        le=1000,
        advanced=True,
    )
    cka_loss: Literal["off", "attract", "repel", "only"] = about(
        "Geometry as part of the loss. Attract: the divergence, and 1 - CKA of student and teacher at the "
        "completion's tokens, both without the demonstration. Repel: the divergence, and CKA itself, which "
        "drives them apart. Only: 1 - CKA alone. Costs a further forward pass of each.",
        default="off",
        paper="named as an open question",
        advanced=True,
    )
    cka_weight: float = about(
        "Weight of the CKA term beside the divergence; balanced, the ratio of their gradients' norms.",
        default=0.1,
        gt=0,
        le=1000,
        advanced=True,
    )
    cka_balance: bool = about(
        "Scale the CKA term so that its gradient's norm is the weight times the divergence's, measured every "
        "ten steps and smoothed.",
        default=True,
        advanced=True,
    )
    cka_layers: int | None = about(
        "Blocks whose outputs are compared, evenly spaced, the last among them; none: all of them.",
        default=4,
        ge=1,
        le=1000,
        unit="blocks",
        advanced=True,
    )
    cka_ramp_steps: int = about(
        "Steps in which the CKA term's weight rises from zero.",
        default=10,
        ge=0,
        le=1000000,
        unit="steps",
        advanced=True,
    )
    early_stopping_criterion: Literal["loss", "loss_and_cka"] = about(
        "What has to stand still before the training stops early: the held-out loss, or also the CKA of "
        "student and teacher on the held-out items. The weights kept are those of the lowest loss either way.",
        default="loss",
        paper="CKA as a proxy named as an open question",
        advanced=True,
    )
    role: Role = about(
        "Which part the checkpoint plays in comparisons.", default="recovered", advanced=True
    )

    @property
    def looks_at_cka(self) -> bool:
        """Whether CKA is measured on the held-out items."""
        return self.eval_steps > 0 and self.early_stopping_criterion == "loss_and_cka"

    @property
    def teachers(self) -> tuple[str, ...]:
        """Names of the teachers."""
        return (self.teacher,) if isinstance(self.teacher, str) else tuple(self.teacher)

    @property
    def follows_student(self) -> bool:
        """Whether a teacher changes while the student trains."""
        return not {LIVE, EMA}.isdisjoint(self.teachers)


TrainSpec = SftSpec | BootstrapSpec | SdftSpec


def _checked(template: str) -> str:
    problem = problem_of(template)
    if problem:
        raise ValueError(problem)
    return template
