"""One frozen spec per stage kind: the settings that decide what the stage makes or measures.

Each field carries what a form shows: description, unit, limits, and what the paper used. Field names
follow TRL's `SDFTConfig` and PEFT's `LoraConfig` where one exists.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.events import Role
from core.recipe.field import BASE, Spec, StageId, about


class CkaSettings(Spec):
    """What a CKA measurement reads; shared by the `cka` stage and `measure.cka`."""

    reference: StageId = about("The checkpoint that others are compared with.", default=BASE)
    probe: str = about(
        "Dataset whose items are the fixed inputs on which activations are compared."
    )
    samples: int = about(
        "Number of probe items.", default=64, ge=4, le=4096, unit="items", paper="507"
    )
    mode: Literal["per_sample", "per_sequence"] = about(
        "One vector per item (section 5.4), or the tokens of each sequence (section 4.3).",
        default="per_sample",
    )
    token: Literal["last_prompt", "last", "answer_mean"] = about(
        "Which position gives an item's vector, in per-sample mode.",
        default="last_prompt",
        paper="not stated",
    )
    preprocessing: Literal["center", "paper_5_4"] = about(
        "Centre each dimension, or also scale it to unit variance (section 5.4; loses rotation invariance).",
        default="center",
        paper="paper_5_4",
    )
    variant: Literal["biased", "debiased"] = about(
        "The estimator: biased as in the paper, or debiased (HSIC1).",
        default="debiased",
        paper="biased",
    )
    drop_sinks: bool = about(
        "Leave out the first token and tokens of extreme norm, in per-sequence mode.",
        default=True,
        paper="not stated",
    )
    layout: Literal["diagonal", "map"] = about(
        "Each layer against the same layer, or all pairs of layers.", default="map"
    )


class _StageSpec(Spec):
    id: StageId = about("Name of the stage in this recipe; its checkpoint carries it.")
    from_: StageId | None = Field(
        default=None,
        alias="from",
        description="The stage whose checkpoint is read; by default the stage before.",
    )


class QuantizeSpec(_StageSpec):
    """Quantize the linear layers with bitsandbytes; embeddings, norms and the head keep their precision."""

    kind: Literal["quantize"] = "quantize"
    quant_type: Literal["nf4"] = about("Number format of the weights.", default="nf4", paper="nf4")
    use_double_quant: bool = about(
        "Quantize the block scales too (8 bits).", default=True, paper="not stated"
    )
    blocksize: Literal[64] = about("Weights that share one scale.", default=64, paper="not stated")
    role: Role = about(
        "Which part the checkpoint plays in comparisons.", default="degraded", advanced=True
    )


class PruneSpec(_StageSpec):
    """Remove a share of the FFN neurons of every layer (rows of gate and up, columns of down)."""

    kind: Literal["prune"] = "prune"
    ratio: float = about(
        "Share of FFN neurons to remove from each layer.", default=0.10, gt=0, lt=1, paper="0.10"
    )
    criterion: Literal["magnitude"] = about(
        "How a neuron's importance is scored.", default="magnitude", paper="not stated"
    )
    round_to: int = about(
        "The width that is kept is rounded to a multiple of this.",
        default=128,
        ge=1,
        le=1024,
        unit="neurons",
        advanced=True,
    )
    role: Role = about(
        "Which part the checkpoint plays in comparisons.", default="degraded", advanced=True
    )


class _TrainSpec(_StageSpec):
    dataset: str | list[str] = about("Dataset or datasets to train on, mixed and shuffled.")
    max_steps: int | None = about(
        "Optimizer steps; empty trains for the epochs below.",
        default=None,
        ge=1,
        le=1000000,
        unit="steps",
    )
    num_train_epochs: float = about(
        "Passes over the data when no step count is given.",
        default=1.0,
        gt=0,
        le=100,
        unit="epochs",
        paper="not stated",
    )
    per_device_train_batch_size: int = about(
        "Prompts in one micro-batch.", default=4, ge=1, le=1024, unit="prompts"
    )
    gradient_accumulation_steps: int = about(
        "Micro-batches per optimizer step.", default=8, ge=1, le=1024, paper="not stated"
    )
    learning_rate: float = about(
        "Peak learning rate of AdamW.", default=1e-4, gt=0, le=1, paper="not stated"
    )
    warmup_ratio: float = about(
        "Share of the steps in which the rate rises; it then falls by a cosine.",
        default=0.1,
        ge=0,
        lt=1,
        advanced=True,
    )
    weight_decay: float = about("Decoupled weight decay.", default=0.0, ge=0, le=1, advanced=True)
    max_grad_norm: float = about(
        "Gradients are clipped to this norm.", default=1.0, gt=0, le=1000, advanced=True
    )
    max_prompt_length: int = about(
        "Longer prompts are left out and counted, never cut.",
        default=4096,
        ge=8,
        le=131072,
        unit="tokens",
        advanced=True,
    )
    max_completion_length: int = about(
        "Longest answer.", default=1024, ge=1, le=131072, unit="tokens", paper="not stated"
    )
    method: Literal["lora", "full"] = about(
        "Train a LoRA adapter or all weights.", default="lora", paper="not stated"
    )
    lora_r: int = about("Rank of the adapter.", default=64, ge=1, le=1024, advanced=True)
    lora_alpha: int = about(
        "Scale of the adapter; its update is multiplied by alpha / r.",
        default=128,
        ge=1,
        le=4096,
        advanced=True,
    )
    seed: int | None = about(
        "Seed of this stage; by default the recipe's.",
        default=None,
        ge=0,
        le=2**31 - 1,
        advanced=True,
    )
    gradient_checkpointing: bool = about(
        "Recompute activations in the backward pass: less memory, slower.",
        default=False,
        advanced=True,
    )
    save_steps: int = about(
        "Steps between saved training states; 0 saves only at the end.",
        default=50,
        ge=0,
        le=1000000,
        unit="steps",
        advanced=True,
    )

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the training datasets."""
        return (self.dataset,) if isinstance(self.dataset, str) else tuple(self.dataset)


class SftSpec(_TrainSpec):
    """Supervised fine-tuning on the demonstrations: next-token loss on the answer."""

    kind: Literal["sft"] = "sft"
    teacher: StageId | None = about(
        "Checkpoint that first rewrites each demonstration in its own words (offline self-distillation); "
        "by default they are learned as they are.",
        default=None,
        advanced=True,
    )
    role: Role = about(
        "Expert for a trained skill, degraded for forgetting, recovered when SFT is the recovery.",
        default="degraded",
    )


class SdftSpec(_TrainSpec):
    """Self-distillation fine-tuning: the student's own completions, scored by a teacher that was shown the demonstration."""

    kind: Literal["sdft"] = "sdft"
    teacher: StageId = about(
        "The checkpoint that scores, frozen; any earlier stage, or base.",
        default=BASE,
        paper="base, or the expert",
    )
    divergence: Literal["forward_kl"] = about(
        "Distance between teacher and student at each token, over the full vocabulary.",
        default="forward_kl",
        paper="KL, direction not stated",
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
    role: Role = about(
        "Which part the checkpoint plays in comparisons.", default="recovered", advanced=True
    )


class EvaluateSpec(_StageSpec):
    """Score tasks on one checkpoint."""

    kind: Literal["evaluate"] = "evaluate"
    tasks: list[str] = about("Tasks to score.", min_length=1)


class CkaSpec(_StageSpec, CkaSettings):
    """Compare the checkpoint with the reference, layer by layer."""

    kind: Literal["cka"] = "cka"


StageSpec = QuantizeSpec | PruneSpec | SftSpec | SdftSpec | EvaluateSpec | CkaSpec
CheckpointSpec = QuantizeSpec | PruneSpec | SftSpec | SdftSpec
STAGE_SPECS: dict[str, type[_StageSpec]] = {
    "quantize": QuantizeSpec,
    "prune": PruneSpec,
    "sft": SftSpec,
    "sdft": SdftSpec,
    "evaluate": EvaluateSpec,
    "cka": CkaSpec,
}
