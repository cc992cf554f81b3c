"""Train the small model that ships in resources/models, from nothing and from generated data only.

    python packaging/train_small_model.py --out FOLDER          # the whole training, resumable
    python packaging/train_small_model.py --check               # is the shipped model what this makes?

A Qwen2 network of about a million parameters with a byte-level BPE of 1,024 entries and a ChatML template.
Matrices are trained by Muon (momentum orthogonalised by Newton-Schulz iterations; Keller Jordan, 2024),
kept in float32 because bfloat16 is slow on most CPUs; embeddings, norms and biases by AdamW.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from core.data.chat import TEACHER_TEMPLATE, teacher_messages
from core.data.load import load
from core.demo import pretraining
from core.demo.pretraining import Sample
from core.evaluation.evaluate import evaluate
from core.evaluation.exam import Exam
from core.evaluation.scorer import Examinee
from core.recipe.sources import DatasetSource, Task

SHIPPED = Path(__file__).parents[1] / "resources" / "models" / "rekindle-1m"
RECORD = "training.json"
SEED = 0
STEPS = 1000
SAMPLES_PER_STEP = 96
MICRO_BATCHES = 3
PROMPT_WEIGHT = 0.1
MUON_RATE = 0.02
ADAM_RATE = 3e-3
WARMUP_STEPS = 20
MAX_NORM = 1.0
SAVE_EVERY = 50
VOCABULARY = 1024
TOKENIZER_SAMPLES = 20_000
CHECK_STEPS = 10
LOSS_TOLERANCE = 0.02
POINTS_TOLERANCE = 3.0

END = "<|im_end|>"
SPECIAL = ("<|endoftext|>", "<|im_start|>", END)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def samples(seed: int) -> Iterator[Sample]:
    """The mixture with the template of our own SDFT."""
    return pretraining.samples(seed, TEACHER_TEMPLATE)


def text_of(sample: Sample) -> tuple[str, str]:
    """Prompt and answer as the network reads them."""
    if not sample.chat:
        return sample.prompt, f"{sample.answer}{SPECIAL[0]}"
    prompt = f"<|im_start|>user\n{sample.prompt}{END}\n<|im_start|>assistant\n"
    return prompt, f"{sample.answer}{END}"


def make_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE with single digits, trained on the mixture."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = itertools.islice(samples(seed), TOKENIZER_SAMPLES)
    bpe.train_from_iterator((f"{it.prompt}\n{it.answer}" for it in corpus), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=END, pad_token=SPECIAL[0], model_max_length=512
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_model(seed: int, tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    """The network, freshly initialised."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        bos_token_id=None,
        pad_token_id=tokenizer.convert_tokens_to_ids(SPECIAL[0]),
    )
    return Qwen2ForCausalLM(config).float()


def orthogonalised(stack: Tensor) -> Tensor:
    """Each matrix of (K, rows, columns) with its singular values near 1, by five Newton-Schulz steps."""
    tall = stack.shape[1] > stack.shape[2]
    x = stack.transpose(1, 2) if tall else stack
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


class Muon:
    """Nesterov momentum, orthogonalised; parameters of one shape are treated in one batch."""

    def __init__(self, parameters: Sequence[Tensor], momentum: float = 0.95) -> None:
        self.momentum = momentum
        self.groups: dict[tuple[int, ...], list[Tensor]] = {}
        for parameter in parameters:
            self.groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self.buffers = {
            shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()
        }

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update from the gradients."""
        for shape, group in self.groups.items():
            gradient = torch.stack([it.grad for it in group if it.grad is not None])
            buffer = self.buffers[shape].mul_(self.momentum).add_(gradient)
            update = orthogonalised(gradient + self.momentum * buffer)
            scale = rate * math.sqrt(max(1.0, shape[0] / shape[1]))
            for parameter, change in zip(group, update, strict=True):
                parameter.sub_(change, alpha=scale)


class Trainer:
    """Network, optimizers and the place in the stream of samples."""

    def __init__(self, seed: int, steps: int, out: Path) -> None:
        self.seed, self.steps, self.out = seed, steps, out
        self.tokenizer = make_tokenizer(seed)
        self.model = make_model(seed, self.tokenizer)
        named = dict(self.model.named_parameters())
        matrices = [it for name, it in named.items() if it.ndim == 2 and "embed" not in name]
        rest = [it for name, it in named.items() if it.ndim != 2 or "embed" in name]
        self.muon = Muon(matrices)
        self.adam = torch.optim.AdamW(rest, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0)
        self.step = 0
        self.losses: list[float] = []
        self.seconds = 0.0

    def run(self, until: int) -> None:
        """Train up to a step, saving what a resume needs."""
        self._restore()
        started = time.perf_counter() - self.seconds
        stream = samples(self.seed)
        for _ in itertools.islice(stream, self.step * SAMPLES_PER_STEP):
            pass
        while self.step < until:
            loss = self._advance(list(itertools.islice(stream, SAMPLES_PER_STEP)))
            self.seconds = time.perf_counter() - started
            self.losses.append(loss)
            if self.step % 10 == 0:
                left = self.seconds / self.step * (until - self.step)
                print(
                    f"step {self.step} / {until}  loss {loss:.4f}  {self.seconds:.0f} s, {left:.0f} s left",
                    flush=True,
                )
            if self.step % SAVE_EVERY == 0 or self.step == until:
                self._save()

    def _advance(self, batch: Sequence[Sample]) -> float:
        rate = self._rate()
        rows = sorted((self._encode(it) for it in batch), key=lambda row: len(row[0]))
        weight = sum(sum(weights[1:]) for _, weights in rows)
        self.model.train()
        total = 0.0
        for part in range(MICRO_BATCHES):
            loss = self._loss(_part(rows, part)) / weight
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)
        self.muon.step(MUON_RATE * rate)
        for group in self.adam.param_groups:
            group["lr"] = ADAM_RATE * rate
        self.adam.step()
        self.model.zero_grad(set_to_none=True)
        self.step += 1
        return total

    def _rate(self) -> float:
        """Share of the peak rate: a short rise, then a straight fall to a twentieth."""
        rise = min(1.0, (self.step + 1) / WARMUP_STEPS)
        return rise * max(0.05, 1.0 - self.step / self.steps)

    def _encode(self, sample: Sample) -> tuple[list[int], list[float]]:
        prompt, answer = text_of(sample)
        before = self.tokenizer(prompt, add_special_tokens=False).input_ids
        after = self.tokenizer(answer, add_special_tokens=False).input_ids
        return [*before, *after], [PROMPT_WEIGHT] * len(before) + [1.0] * len(after)

    def _loss(self, rows: Sequence[tuple[list[int], list[float]]]) -> Tensor:
        """Weighted sum of the token losses of rows padded on the right."""
        width = max(len(ids) for ids, _ in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        weights = torch.zeros(len(rows), width)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        for place, (row, weighed) in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            weights[place, : len(row)] = torch.tensor(weighed)
            mask[place, : len(row)] = 1
        logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        )
        return (losses * weights[:, 1:].flatten()).sum()

    @property
    def _state(self) -> Path:
        return self.out / "state.pt"

    def _save(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "losses": self.losses,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "adam": self.adam.state_dict(),
            "muon": {"x".join(map(str, shape)): it for shape, it in self.muon.buffers.items()},
        }
        fresh = self._state.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self._state)

    def _restore(self) -> None:
        if not self._state.exists():
            return
        state = torch.load(self._state, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])
        for key, buffer in state["muon"].items():
            self.muon.buffers[tuple(map(int, key.split("x")))].copy_(buffer)
        self.step, self.losses, self.seconds = state["step"], state["losses"], state["seconds"]


def _part(rows: Sequence[Any], part: int) -> Sequence[Any]:
    size = math.ceil(len(rows) / MICRO_BATCHES)
    return rows[part * size : (part + 1) * size]


def fingerprint(folder: Path) -> dict[str, str]:
    """SHA-256 of the weights and the tokenizer."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("model.safetensors", "tokenizer.json")
    }


JUDGED: dict[str, tuple[str, str | None, str]] = {
    "tooluse_known": ("tooluse", "known-own", "tooluse_official_v1"),
    "tooluse_new": ("tooluse", "new-own", "tooluse_official_v1"),
    "science_known": ("science", "known-own", "science_exact_v1"),
    "science_new": ("science", "new-own", "science_exact_v1"),
    "retention": ("retention", "all", "science_exact_v1"),
    "general": ("general", "all", "option_likelihood_v1"),
}
"""What the shipped model is asked: demo task, configuration, scorer."""
SHOWN = {
    f"{task}_shown_{style}": (task, f"all-{style}", scorer)
    for task, scorer in (("tooluse", "tooluse_official_v1"), ("science", "science_exact_v1"))
    for style in ("own", "foreign", "unseen")
}
"""The same with a demonstration in the teacher's template."""
JUDGED_ITEMS = 200


def accuracies(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> dict[str, float]:
    """Accuracy in per cent on the tune split, without and with a demonstration."""
    found = {}
    for name, (task, config, scorer) in (JUDGED | SHOWN).items():
        source = DatasetSource(demo=task, config=config, split="tune", limit=JUDGED_ITEMS)
        dataset = load(name, source, Path())
        if name in SHOWN:
            shown = tuple(replace(it, messages=teacher_messages(it)) for it in dataset.examples)
            dataset = replace(dataset, examples=shown)
        judged = Task(scorer=scorer, dataset=name, max_new_tokens=48, batch_size=50)
        score = evaluate(Examinee(model, tokenizer), Exam(name, judged, dataset))
        found[name] = round(100 * score.correct / score.n, 1)
    return found


def ship(trainer: Trainer, folder: Path) -> None:
    """Write the model with a record of how it was made and what it can do."""
    trainer.model.eval()
    trainer.model.generation_config.pad_token_id = trainer.tokenizer.pad_token_id
    trainer.model.save_pretrained(folder)
    trainer.tokenizer.save_pretrained(folder)
    found = accuracies(trainer.model, trainer.tokenizer)
    record = {
        "seed": trainer.seed,
        "steps": trainer.steps,
        "seconds": round(trainer.seconds),
        "first_losses": trainer.losses[:CHECK_STEPS],
        "last_loss": sum(trainer.losses[-20:]) / len(trainer.losses[-20:]),
        "accuracy": found,
        "sha256": fingerprint(folder),
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record["accuracy"], indent=1))


def check(folder: Path, work: Path) -> Iterator[str]:
    """What does not fit between the shipped model and this script; nothing when all does."""
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    for name, digest in fingerprint(folder).items():
        if digest != record["sha256"][name]:
            yield f"{name} is not the file that was recorded"
    trainer = Trainer(record["seed"], record["steps"], work)
    shipped = PreTrainedTokenizerFast.from_pretrained(folder)
    if trainer.tokenizer.get_vocab() != shipped.get_vocab():
        yield "the tokenizer cannot be made again"
    trainer.run(CHECK_STEPS)
    for step, (now, then) in enumerate(
        zip(trainer.losses, record["first_losses"], strict=True), start=1
    ):
        if abs(now - then) > LOSS_TOLERANCE:
            yield f"the loss of step {step} is {now:.4f}, and was {then:.4f}"
    model = Qwen2ForCausalLM.from_pretrained(folder)
    for task, value in accuracies(model, shipped).items():
        if abs(value - record["accuracy"][task]) > POINTS_TOLERANCE:
            yield f"{task} is {value:.1f} %, and was {record['accuracy'][task]:.1f} %"


def main() -> int:
    """Train, or check; the exit status is 0 when all is well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where the model goes")
    parser.add_argument("--work", type=Path, default=Path("build/small-model"))
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    if given.check:
        wrong = list(check(given.out, given.work / "check"))
        print("\n".join(wrong) or "The shipped model is what this script makes.")
        return 1 if wrong else 0
    trainer = Trainer(given.seed, given.steps, given.work)
    trainer.run(given.steps)
    ship(trainer, given.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
