"""Walks a recipe before it runs and says what each stage will need: memory with its sum, and time.

From the base model's config alone: no weights are read (`core.lm.skeleton`). What a stage changes is
followed along the plan: pruning changes the FFN's width, LoRA stacks an adapter, full training merges them.
The arithmetic is in `core.engine.footprint` and `core.engine.pace`; what each kind of stage goes through, in
`core.engine.stage_needs`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from core.data.example import Dataset
from core.engine.estimate import Estimate, Machine, StageEstimate
from core.engine.footprint import DTYPE_BYTES, Held
from core.engine.lengths import Lengths, lengths_of
from core.engine.pace import Pace, calibrate
from core.engine.reckoning import Surroundings
from core.engine.stage_needs import needs
from core.errors import UserError
from core.lm.device import Compute
from core.lm.load import TOKENIZER_FILES
from core.lm.skeleton import local_folder, local_network
from core.recipe.field import BASE
from core.recipe.plan import Step, plan
from core.recipe.spec import Recipe
from core.recipe.stage_specs import PruneSpec, QuantizeSpec
from core.recipe.training_specs import TrainSpec
from core.stages.prune import target_width

_LOG = logging.getLogger(__name__)


@dataclass
class Forecast:
    """The estimates of one recipe on one device.

    Attributes:
        recipe: checked, its relative paths resolved.
        compute: device and precision of the run.
        dataset: loads a dataset by name; None when it is not at hand without a network.
        cache: folder of converted models.
        timed: whether the device may be measured for the time (under a second, once).
        libraries: bytes that the process holds before its first network, all libraries loaded.
    """

    recipe: Recipe
    compute: Compute
    dataset: Callable[[str], Dataset | None]
    cache: Path | None = None
    timed: bool = True
    libraries: int = field(default_factory=lambda: int(psutil.Process().memory_info().rss))
    _pace: Pace | None = None
    _lengths: dict[tuple[str, ...], Lengths | None] = field(default_factory=dict)
    _tokenizer: PreTrainedTokenizerBase | None = None
    _looked: bool = False

    def all(self) -> Estimate:
        """Every step of the plan but the base, which holds no network."""
        steps = [step for step in plan(self.recipe) if step.spec is not None]
        stages = tuple(self._estimates(steps))
        return Estimate(self.machine(), stages)

    def of(self, stage: str) -> StageEstimate:
        """One step of the plan."""
        steps = [step for step in plan(self.recipe) if step.id == stage]
        return self._estimates(steps)[0]

    def machine(self) -> Machine:
        """The device, with what was measured of it."""
        device = self.compute.device
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
        else:
            memory = psutil.virtual_memory()
            free, total = memory.available, memory.total
        found = Machine(str(device), self.compute.dtype_name, total, free)
        pace = self._pace
        if pace is None:
            return found
        return replace(
            found, flops=pace.flops, bandwidth=pace.bandwidth, call_seconds=pace.call_seconds
        )

    def _estimates(self, steps: list[Step]) -> list[StageEstimate]:
        try:
            held = self._networks()
        except UserError as error:
            return [
                StageEstimate(it.id, it.kind, implied=it.implied, unknown=str(error))
                for it in steps
            ]
        if self.timed and self._pace is None:
            self._measure()
        return [self._estimate(step, held) for step in steps]

    def _measure(self) -> None:
        try:
            self._pace = calibrate(self.compute)
        except (
            RuntimeError
        ) as error:  # its memory is taken, or it computes nothing in this precision
            self.timed = False
            _LOG.info("The pace of %s cannot be measured: %s", self.compute.device, error)

    def _estimate(self, step: Step, held: dict[str, Held]) -> StageEstimate:
        around = Surroundings(
            recipe=self.recipe,
            held=held,
            dtype_bytes=DTYPE_BYTES[self.compute.dtype_name],
            libraries=0 if self.compute.device.type == "cuda" else self.libraries,
            lengths=self._lengths_of,
            pace=self._pace,
        )
        return needs(around, step)

    def _networks(self) -> dict[str, Held]:
        """What every checkpoint of the plan is, by the id of the step that makes it.

        Raises:
            UserError: the config of a model is not at hand, or a stage cannot work on its network.
        """
        held = {BASE: Held(local_network(self.recipe.base, self.cache))}
        for name, source in self.recipe.models.items():
            held[name] = Held(local_network(source, self.cache))
        for step in plan(self.recipe):
            if step.spec is None or step.source is None:
                continue
            read = held[step.source]
            held[step.id] = _made(step, read)
        return held

    def _lengths_of(self, names: tuple[str, ...]) -> Lengths | None:
        if names not in self._lengths:
            self._lengths[names] = self._measured(names)
        return self._lengths[names]

    def _measured(self, names: tuple[str, ...]) -> Lengths | None:
        try:
            loaded = [self.dataset(name) for name in names]
            if None in loaded:
                return None
            examples = [it for dataset in loaded if dataset is not None for it in dataset.examples]
            return lengths_of(examples, self._tokens()) if examples else None
        except UserError as error:
            _LOG.info("Lengths of %s are not known: %s", ", ".join(names), error)
            return None

    def _tokens(self) -> PreTrainedTokenizerBase | None:
        """The base's tokenizer where it lies in a folder of this machine."""
        if self._looked:
            return self._tokenizer
        self._looked = True
        folder = local_folder(self.recipe.base, self.cache)
        if folder is not None and any((folder / name).is_file() for name in TOKENIZER_FILES):
            try:
                self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            except (OSError, ValueError) as error:
                _LOG.info("The tokenizer in %s cannot be opened: %s", folder, error)
        return self._tokenizer


def _made(step: Step, read: Held) -> Held:
    """The network that a step leaves: a measurement, the one it read."""
    spec = step.spec
    if isinstance(spec, PruneSpec):
        width = target_width(read.network.ffn, spec.ratio, spec.round_to)
        return Held(read.network.pruned(width))
    if isinstance(spec, QuantizeSpec):
        return Held(read.network, nf4=True)
    if isinstance(spec, TrainSpec):
        if spec.method == "full":
            return Held(read.network)
        return replace(read, adapters=read.adapters + read.network.lora(spec.lora_r))
    return read
