"""Checks of what computes: torch, CUDA, precision, NF4, decoding, and one step of SDFT.

They walk the very functions that a run walks, on a small random model that is made here, so neither a
tokenizer nor a download is needed. That a run on real weights learns anything is not shown.

Run by `core.engine.examination`, or by hand: `python -m core.engine.doctor --home PATH`.
"""

from __future__ import annotations

import math
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import cast

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import Tensor, nn
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging as transformers_logging

from core.distill.batch import collate, predicting
from core.distill.divergence import Divergence, divergence, token_weights
from core.distill.head import head_of, hidden_states
from core.distill.measure import Measure
from core.distill.teacher import Teacher
from core.engine.examination import Check, Verdict, serve
from core.lm.adapter import add_lora
from core.lm.checkpoint import Checkpoint
from core.lm.device import Compute, choose
from core.lm.generate import Sampling, generate
from core.lm.load import load_model
from core.lm.nf4 import load_unpacked, save_packed
from core.stages.optimizer import MasterAdamW
from core.store.home import Home

GB = 10**9
GPU_MEMORY_TYPICAL = 8 * GB
"""LoRA on a 3B model over NF4 takes about 7 GiB (engine-room.md, calculated)."""
DRIVER = Path("/proc/driver/nvidia/version")
"""Exists where Linux has loaded NVIDIA's driver."""
CPU = Compute(torch.device("cpu"), torch.float32, "what the device is compared with")

VOCABULARY = 4096
NEW_TOKENS = 16
SKIPPED = 3  # first tokens of an answer that carry no loss, as in the paper
PROMPTS = ((5, 90, 301, 7), (44,), (200, 12, 499, 33, 72))
DEMONSTRATED = ((8, 9, 10, 11, 5, 90, 301, 7), (60, 61, 62, 44), (70, 71, 200, 12, 499, 33, 72))
"""The prompts as the teacher sees them: with something more in front."""

NF4_ERROR = 0.2
"""Half the widest gap between two NF4 codes is 0.152 of a block's largest weight; its scale is rounded too."""
NF4_SAME = 0.999
"""Share of weights that two devices must round alike: one on the border of two codes may fall either way."""
LOGITS_TOLERANCE: Mapping[torch.dtype, float] = {
    torch.float32: 1e-3,
    torch.float16: 1e-2,
    torch.bfloat16: 5e-2,
}
"""Largest difference of logits, relative to the largest logit, that rounding explains."""
LOSS_TOLERANCE: Mapping[torch.dtype, float] = {
    torch.float32: 1e-3,
    torch.float16: 1e-2,
    torch.bfloat16: 3e-2,
}
"""Relative difference to the loss in float32 on the CPU that rounding explains; a CPU's half precision
shows a tenth of it."""


def pytorch(home: Home) -> Verdict:
    """The library that computes, and the threads it has on the host."""
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("transformers", "peft", "bitsandbytes")
    )
    return Verdict(
        True,
        f"PyTorch {torch.__version__} built with {build}; {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}; {packages}.",
    )


def cuda(home: Home) -> Verdict:
    """The CUDA devices, or why there are none. A machine without a GPU is in order."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if not available:
        return _without_cuda([str(it.message) for it in said])
    lines, tight = [], False
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        free, total = torch.cuda.mem_get_info(index)
        tight = tight or free < GPU_MEMORY_TYPICAL
        lines.append(
            f"cuda:{index} is {torch.cuda.get_device_name(index)}, compute capability {major}.{minor}, "
            f"{free / GB:.1f} of {total / GB:.1f} GB free"
        )
    driver = driver_version()
    detail = "; ".join(lines) + (f"; driver {driver}." if driver else ".")
    hint = (
        f"SDFT of a model of 3 billion weights takes at least {GPU_MEMORY_TYPICAL / GB:.0f} GB: "
        "close what else uses the GPU, or choose a smaller model."
    )
    return Verdict(True, detail, hint if tight else "")


def _without_cuda(reasons: Sequence[str]) -> Verdict:
    driver = driver_version()
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return Verdict(None, "CUDA_VISIBLE_DEVICES hides every GPU, so the CPU is used.")
    if driver is None:
        return Verdict(None, "There is no NVIDIA GPU with a driver here, so the CPU is used.")
    found = f"NVIDIA's driver {driver} is loaded, but PyTorch finds no GPU it can use"
    if torch.version.cuda is None:
        return Verdict(
            False,
            f"{found}: this PyTorch is built without CUDA.",
            "Set Rekindle up again: delete the folder .venv and type `make run`.",
        )
    reason = f": {reasons[0].splitlines()[0]}" if reasons else "."
    return Verdict(
        False,
        found + reason,
        f"Install a driver for CUDA {torch.version.cuda} or newer, restart the machine, and check that "
        "`nvidia-smi` lists the GPU.",
    )


def driver_version() -> str | None:
    """Version of NVIDIA's driver, "of unknown version" where it does not say; None when none is loaded."""
    if not DRIVER.is_file():
        return None
    found = re.search(r"\d+\.\d+(\.\d+)*", DRIVER.read_text(encoding="utf-8", errors="replace"))
    return found.group() if found else "of unknown version"


def precision(home: Home) -> Verdict:
    """What `auto` chooses on each device and why, and that a product in it is right."""
    names = [f"cuda:{index}" for index in range(torch.cuda.device_count())] or ["cpu"]
    chosen = [choose(name) for name in names]
    for compute in chosen:
        error = product_error(compute)
        if not error <= max(8 * torch.finfo(compute.dtype).eps, 1e-5):
            return Verdict(
                False,
                f"{compute.device} multiplies matrices wrongly in {compute.dtype_name}: relative error "
                f"{error:.1e}.",
                "Unset NVIDIA_TF32_OVERRIDE if it is set; otherwise test the GPU with another program.",
            )
    return Verdict(
        True, "; ".join(f"{it.device}: {it.dtype_name}, because {it.why}" for it in chosen) + "."
    )


def product_error(compute: Compute) -> float:
    """Largest error of a product of two matrices, relative to its largest entry."""
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(256, 256, generator=generator).to(compute.dtype) for _ in range(2))
    expected = one.double() @ other.double()
    found = (one.to(compute.device) @ other.to(compute.device)).cpu().double()
    return float((found - expected).abs().max() / expected.abs().max())


def nf4(home: Home, compute: Compute | None = None) -> Verdict:
    """Pack a model to NF4 on the device, unpack it, and compare with the CPU's packing."""
    compute = compute or choose()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        packed = save_packed(random_model(compute), Path(folder) / "device")
        found = load_unpacked(Path(folder) / "device", CPU.device, torch.float32).state_dict()
        seconds = time.perf_counter() - started
        save_packed(random_model(Compute(CPU.device, compute.dtype, "")), Path(folder) / "cpu")
        expected = load_unpacked(Path(folder) / "cpu", CPU.device, torch.float32).state_dict()
    same = same_share(found, expected)
    detail = (
        f"Packed and unpacked on {_place(compute)} in {seconds:.1f} s: {packed.bits_per_weight:.2f} bits "
        f"a weight, largest error {packed.max_error:.2f}, {same:.2%} as on the CPU."
    )
    if not (packed.max_error < NF4_ERROR and same >= NF4_SAME):
        return Verdict(
            False,
            detail,
            "Quantized models made here would be wrong: set bitsandbytes up again for this GPU.",
        )
    return Verdict(True, detail)


def same_share(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    """Share of weights that agree to a hundredth of their tensor's largest."""
    same = total = 0
    for name, weight in expected.items():
        near = (found[name] - weight).abs() <= 0.01 * weight.abs().max()
        same += int(near.sum())
        total += weight.numel()
    return same / total


@torch.no_grad()
def linear4bit(home: Home, compute: Compute | None = None) -> Verdict:
    """That a model computes the same packed (bitsandbytes' Linear4bit) and unpacked (ours)."""
    compute = compute or choose()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        save_packed(random_model(compute), path)
        made = Checkpoint("", path, None, None, "quantize", "nf4", "auto", {}, {}, {})
        packed = load_model(made, compute, packed=True)
        plain = load_model(made, compute)
    # In eval mode bitsandbytes rounds to bfloat16 on CPUs with AVX512-BF16, whatever precision was asked
    # for; in training mode it never does, and there is no dropout here.
    packed.train()
    layers = sum(isinstance(module, Linear4bit) for module in packed.modules())
    ids = torch.tensor([PROMPTS[-1]], device=compute.device)
    expected, found = (model(input_ids=ids).logits.double() for model in (packed, plain))
    difference = float((found - expected).abs().max() / expected.abs().max())
    detail = (
        f"On {_place(compute)}, logits of {layers} packed layers and of their unpacked form differ by "
        f"{difference:.1e} of the largest."
    )
    if not (layers and difference <= LOGITS_TOLERANCE[compute.dtype]):
        return Verdict(
            False, detail, "Set bitsandbytes up again: its version does not suit this GPU."
        )
    return Verdict(True, detail)


def generation(home: Home, compute: Compute | None = None) -> Verdict:
    """Sample a few tokens."""
    compute = compute or choose()
    model = random_model(compute)
    sample(model, 2)  # the first call loads kernels
    started = time.perf_counter()
    answers = sample(model, NEW_TOKENS)
    seconds = time.perf_counter() - started
    tokens = [token for answer in answers for token in answer]
    detail = (
        f"Sampled {len(tokens)} tokens of {len(answers)} answers on {_place(compute)} in {seconds:.2f} s, "
        f"{1000 * seconds / NEW_TOKENS:.1f} ms a step."
    )
    right = len(tokens) == NEW_TOKENS * len(PROMPTS) and len(set(tokens)) > 1
    if not right or not all(0 <= token < VOCABULARY for token in tokens):
        return Verdict(False, detail + " They are not what was asked for.", "Report it.")
    return Verdict(True, detail)


def sdft(home: Home, compute: Compute | None = None) -> Verdict:
    """One whole step: sample, score by the teacher, forward KL in chunks, backward, optimizer."""
    compute = compute or choose()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_packed(random_model(compute), folder)
        step = one_step(folder, compute)
        reference = float(Pair.open(folder, compute, CPU).divergence(step.answers).loss.detach())
    difference = abs(step.loss - reference) / reference
    detail = (
        f"One step on {_place(compute)} in {step.seconds:.2f} s: loss {step.loss:.4f} "
        f"({reference:.4f} in float32 on the CPU), gradient norm {step.norm:.3g}."
    )
    if not (math.isfinite(step.loss) and math.isfinite(step.norm) and step.norm > 0):
        return Verdict(False, f"{detail} Training would diverge.", _SDFT_HINT)
    if not difference <= LOSS_TOLERANCE[compute.dtype]:
        return Verdict(False, f"{detail} Rounding does not explain the difference.", _SDFT_HINT)
    if not step.moved:
        return Verdict(False, f"{detail} No weight changed.", _SDFT_HINT)
    return Verdict(True, detail)


_SDFT_HINT = "Set `device: cpu` or another dtype in recipes until this is mended."


@dataclass(frozen=True)
class Pair:
    """A quantized student with an adapter, and the undegraded model as its teacher."""

    student: PreTrainedModel
    teacher: Teacher
    device: torch.device

    @staticmethod
    def open(folder: Path, made: Compute, compute: Compute) -> Pair:
        """Student from a packed folder, teacher from the same random weights, rounded as when `made`."""
        student = add_lora(load_unpacked(folder, compute.device, compute.dtype), 4, 8, seed=1)
        base = random_model(Compute(CPU.device, made.dtype, ""))
        nn.Module.to(base, compute.device, compute.dtype)  # in place
        return Pair(cast("PreTrainedModel", student), Teacher(base, "own"), compute.device)

    def divergence(self, answers: Sequence[Sequence[int]]) -> Divergence:
        """Forward KL of the answers, in chunks smaller than they are."""
        asked = collate(PROMPTS, answers, 0, self.device)
        taught = self.teacher.taught(collate(DEMONSTRATED, answers, 0, self.device))
        states = hidden_states(self.student, asked.input_ids, asked.attention_mask)
        counted = asked.present.clone()  # (B, C)
        counted[:, :SKIPPED] = False
        return divergence(
            predicting(states, asked).flatten(0, 1),
            head_of(self.student),
            taught,
            token_weights(counted).flatten(),
            Measure(),
            chunk_tokens=NEW_TOKENS,
        )


@dataclass(frozen=True)
class Step:
    """What an optimizer step gave."""

    answers: list[list[int]]
    loss: float
    norm: float
    moved: bool  # whether every trained weight is finite and at least one changed
    seconds: float


def one_step(folder: Path, compute: Compute) -> Step:
    """One optimizer step of the model packed in `folder`."""
    pair = Pair.open(folder, compute, compute)
    started = time.perf_counter()
    answers = sample(pair.student, NEW_TOKENS)
    optimizer = MasterAdamW(pair.student, weight_decay=0.0)
    before = {name: it.detach().clone() for name, it in optimizer.parameters.items()}
    loss = pair.divergence(answers).loss
    (loss * optimizer.loss_scale).backward()  # type: ignore[no-untyped-call]
    norm = optimizer.clip(1.0)
    optimizer.step(1e-4)
    after = optimizer.parameters
    finite = all(bool(torch.isfinite(it).all()) for it in after.values())
    moved = finite and any(not torch.equal(before[name], it) for name, it in after.items())
    seconds = time.perf_counter() - started
    return Step(answers, float(loss.detach()), norm, moved, seconds)


def sample(model: PreTrainedModel, tokens: int) -> list[list[int]]:
    """Answers to the prompts, all of the same length: no token ends one."""
    found = generate(
        model,
        PROMPTS,
        max_new_tokens=tokens,
        eos_ids=frozenset(),
        pad_id=0,
        sampling=Sampling(seed=3),
    )
    return [answer.ids for answer in found]


def random_model(compute: Compute) -> PreTrainedModel:
    """A small Qwen2 model, the same every time, whose distributions are far from uniform."""
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = Qwen2ForCausalLM(config)
    nn.Module.to(model, compute.device, compute.dtype)
    return cast("PreTrainedModel", nn.Module.eval(model))


def _place(compute: Compute) -> str:
    return f"{compute.device} in {compute.dtype_name}"


CHECKS: Mapping[str, Check] = {
    "torch": pytorch,
    "cuda": cuda,
    "precision": precision,
    "nf4": nf4,
    "linear4bit": linear4bit,
    "generate": generation,
    "sdft": sdft,
}

if __name__ == "__main__":
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    sys.exit(serve(CHECKS))
