"""A network from a config and a state dict in memory, without random initialisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PretrainedConfig, PreTrainedModel


def assemble(
    config: PretrainedConfig, state: Mapping[str, Tensor], dtype: torch.dtype
) -> tuple[PreTrainedModel, list[str]]:
    """The causal language model of this config holding these weights, and the names of missing ones."""
    kind = cast(Any, MODEL_FOR_CAUSAL_LM_MAPPING[type(config)])
    model, info = kind.from_pretrained(
        None, config=config, state_dict=dict(state), dtype=dtype, output_loading_info=True
    )
    return model, sorted(info["missing_keys"])
