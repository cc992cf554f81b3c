"""What tests of the cka stage share: a small world, a measurement in it, and states read by plain means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.chat import answer_ids, prompt_ids
from core.data.example import Example
from core.data.load import load
from core.events import CkaMeasured
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model
from core.recipe.sources import DatasetSource
from core.recipe.stage_specs import CkaSpec, QuantizeSpec
from core.stages import cka, quantize
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32, tiny_base, tiny_tokenizer, write_datasets

NAMES = ("embeddings", "block_0", "block_1", "final_norm")
World = tuple[Stand, Checkpoint, Checkpoint]


def make_world(folder: Path) -> World:
    """A base, its quantized checkpoint, and a probe of tool-use items."""
    base = tiny_base(folder / "checkpoints")
    files = write_datasets(folder / "data")
    dataset = load("probe", DatasetSource(file=str(files.tooluse)), folder)
    stand = Stand(folder, checkpoints={"base": base}, datasets={"probe": dataset})
    made = quantize.run(QuantizeSpec(id="nf4"), base, stand.context("nf4"))
    return stand, base, made


def measured(
    world: World, subject: Checkpoint | None = None, **settings: Any
) -> tuple[CkaMeasured, Stand]:
    """The event of one measurement of the quantized checkpoint, or of another."""
    stand = replace(world[0], events=[])
    spec = CkaSpec(id="geometry", probe="probe", **settings)
    subject = subject or world[2]
    assert cka.run(spec, subject, stand.context("geometry", subject="nf4")) is subject
    (event,) = stand.of(CkaMeasured)
    return event, stand


def states_of(checkpoint: Checkpoint, ids: list[int]) -> dict[str, NDArray[Any]]:
    """All positions of one unpadded sequence, by hooks of our own and transformers' own output."""
    model = load_model(checkpoint, CPU32)
    blocks: dict[str, torch.Tensor] = {}
    for index, layer in enumerate(model.model.layers):
        layer.register_forward_hook(
            lambda _, __, out, index=index: blocks.__setitem__(
                f"block_{index}", out[0] if isinstance(out, tuple) else out
            )
        )
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    named = {"embeddings": hidden[0], **blocks, "final_norm": hidden[-1]}
    return {name: state.reshape(len(ids), -1).numpy() for name, state in named.items()}


def token_ids(example: Example, answer: bool) -> tuple[list[int], int]:
    """The item as the networks read it, and the length of its prompt."""
    tokenizer = tiny_tokenizer()
    prompt = prompt_ids(tokenizer, example.messages)
    return [*prompt, *(answer_ids(tokenizer, example.demonstration) if answer else [])], len(prompt)


def pooled(checkpoint: Checkpoint, examples: Sequence[Example]) -> dict[str, NDArray[Any]]:
    """The mean over each answer, by `states_of`."""
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in NAMES}
    for example in examples:
        ids, prompt = token_ids(example, True)
        for name, states in states_of(checkpoint, ids).items():
            kept[name].append(states[prompt:].mean(0))
    return {name: np.stack(vectors) for name, vectors in kept.items()}
