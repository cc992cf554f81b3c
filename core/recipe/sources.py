"""Where models, data and tasks come from."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator, model_validator

from core.demo.datasets import CONFIGS, DemoTask
from core.demo.draw import SPLITS
from core.recipe.field import Spec, about

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class ModelSource(Spec):
    """Where the base model comes from: exactly one of name, folder, hub, gguf."""

    name: str | None = about("A model that needs no download.", default=None)
    folder: str | None = about("A folder with config.json and safetensors weights.", default=None)
    hub: str | None = about("A Hugging Face hub id, owner/name.", default=None)
    gguf: str | None = about("A GGUF file; converted once to safetensors.", default=None)
    revision: str = about("Branch, tag or commit of the hub repository.", default="main")
    dtype: Dtype = about(
        "Compute precision; auto takes bfloat16 where the device is fast in it, float32 on a CPU.",
        default="auto",
        paper="bfloat16",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> ModelSource:
        given = [key for key in ("name", "folder", "hub", "gguf") if getattr(self, key)]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of name, folder, hub, gguf (given: {', '.join(given) or 'none'})"
            )
        return self

    @property
    def label(self) -> str:
        """The name, path or id by which a person knows the model."""
        return self.name or self.folder or self.hub or self.gguf or ""


class DatasetSource(Spec):
    """Where examples come from: a file or folder, a hub dataset, or generated tasks; exactly one of them."""

    file: str | None = about(
        "A JSONL, JSON, CSV, Parquet or Arrow file, or a folder written by datasets.", default=None
    )
    hub: str | None = about("A Hugging Face dataset id, owner/name.", default=None)
    demo: DemoTask | None = about("A generated task for the small model.", default=None)
    revision: str = about("Branch, tag or commit of the hub dataset.", default="main")
    config: str | None = about(
        "Configuration of the hub dataset; of a generated task, its part and the demonstrations' style.",
        default=None,
    )
    split: str | None = about(
        "Split of the hub dataset or of a folder of splits; train, tune or eval of a generated task.",
        default=None,
    )
    format: Literal[
        "auto", "sciknoweval", "tooluse", "mmlu", "winogrande", "messages", "columns"
    ] = about("How rows are read; auto recognises the format by its content.", default="auto")
    columns: dict[str, str] = about(
        "For format columns: which column is prompt, demonstration, answer, choices, system, subject.",
        default={},
    )
    limit: int | None = about("Use only the first N items.", default=None, ge=1, unit="items")

    @model_validator(mode="after")
    def _exactly_one(self) -> DatasetSource:
        if sum(map(bool, (self.file, self.hub, self.demo))) != 1:
            raise ValueError("give exactly one of file, hub, demo")
        return self

    @model_validator(mode="after")
    def _complete_demo(self) -> DatasetSource:
        if self.demo is None:
            return self
        configs = CONFIGS[self.demo]
        if self.config not in configs:
            raise ValueError(f"config of demo {self.demo} is one of {', '.join(configs)}")
        if self.split not in SPLITS:
            raise ValueError(f"split of demo {self.demo} is one of {', '.join(SPLITS)}")
        if self.limit is None:
            raise ValueError("a generated task needs limit, the number of its items")
        return self


GENERATING = ("tooluse_official_v1", "tooluse_strict_v1", "science_exact_v1", "exact_match_v1")
"""Scorers that read a generated answer; the others compare the likelihoods of given ones."""
WITH_SHOTS = ("multiple_choice_v1", "winogrande_v1", "option_likelihood_v1")
"""Scorers that show worked examples out of a dataset."""
LM_EVAL = "lm_eval"
"""The scorer whose tasks lm-eval brings along, items and all."""


class Task(Spec):
    """One evaluation task: a scorer, its dataset, and everything that makes up its protocol."""

    scorer: Literal[
        "tooluse_official_v1",
        "tooluse_strict_v1",
        "science_exact_v1",
        "exact_match_v1",
        "multiple_choice_v1",
        "winogrande_v1",
        "option_likelihood_v1",
        "lm_eval",
    ] = about("How an answer is judged.")
    dataset: str | None = about(
        "Name of the dataset with the evaluation items; none for a task of lm-eval.", default=None
    )
    limit: int | None = about("Score only the first N items.", default=None, ge=1, unit="items")
    max_new_tokens: int = about(
        "Longest generated answer; greedy decoding.",
        default=1024,
        ge=1,
        le=32768,
        unit="tokens",
        paper="1024 tooluse, 2048 science",
    )
    num_fewshot: int | None = about(
        "Worked examples shown before a question; none leaves a task of lm-eval its own number.",
        default=0,
        ge=0,
        le=25,
        paper="5, unclear",
    )
    fewshot_dataset: str | None = about(
        "Dataset with the worked examples, such as a development split; by default the items beyond the limit.",
        default=None,
    )
    fewshot_sampler: Literal["first_n", "random"] = about(
        "Which worked examples: the first of the item's subject (lm-eval's for MMLU), or for each item some drawn "
        "with lm-eval's seed (lm-eval's for Winogrande).",
        default="first_n",
    )
    batch_size: int = about("Items evaluated together.", default=8, ge=1, le=1024, unit="items")
    answer_pattern: str | None = about(
        "Regular expression; what its last match holds (its first group, if any) is compared with the gold answer.",
        default=None,
        min_length=1,
        max_length=500,
    )
    ignore_case: bool = about("Compare without regard to upper and lower case.", default=False)
    ignore_punctuation: bool = about("Compare without ASCII punctuation.", default=False)
    strip: bool = about("Compare without white space at both ends.", default=True)

    lm_eval_task: str | None = about(
        "Name of a task, group or tag of lm-eval.", default=None, min_length=1
    )
    include_path: str | None = about("Folder with lm-eval tasks of your own.", default=None)

    @field_validator("answer_pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"this is no regular expression ({error})") from error
        return pattern
