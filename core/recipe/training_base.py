"""What every stage that trains sets: data, length, optimizer, adapter, held-out items, saving.

Field names follow transformers' `TrainingArguments` and PEFT's `LoraConfig` where one exists.
"""

from __future__ import annotations

from typing import Literal

from core.recipe.field import StageSpecBase, about


class TrainSpecBase(StageSpecBase):
    """What every training has: data, length, optimizer, adapter, held-out items, saving."""

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

    held_out_items: int = about(
        "Items kept out of the training, to measure on; at most a tenth of all.",
        default=32,
        ge=0,
        le=4096,
        unit="items",
    )
    eval_steps: int = about(
        "Steps between measurements of the loss on the held-out items; 0: none.",
        default=0,
        ge=0,
        le=1000000,
        unit="steps",
    )
    load_best_model_at_end: bool = about(
        "Where the held-out loss is measured, keep the weights at which it was lowest.",
        default=True,
        advanced=True,
    )
    early_stopping_patience: int | None = about(
        "Stop after so many measurements in a row without a lower held-out loss; empty: never.",
        default=None,
        ge=1,
        le=1000,
        advanced=True,
    )
    early_stopping_threshold: float = about(
        "How much lower it has to be to count.", default=0.0, ge=0, le=100, advanced=True
    )

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the training datasets."""
        return (self.dataset,) if isinstance(self.dataset, str) else tuple(self.dataset)
