"""A tiny random Qwen2 model and tiny datasets, in the formats of the real ones.

`build_tiny` writes a folder that `from_pretrained` opens: two layers of width 64, an FFN of 320 (10 %
pruning rounded to 32 keeps 288; NF4 blocks of 64 divide every matrix) and a byte-level BPE tokenizer
with a ChatML template, trained here on the text of the tiny datasets. Nothing is downloaded, and the
same seed writes the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from core.lm.checkpoint import Checkpoint, identity_of, write_manifest
from core.lm.device import Compute

HIDDEN = 64
FFN = 320
FFN_PRUNED = 288  # 10 % less, already a multiple of ROUND_TO
ROUND_TO = 32
LAYERS = 2
VOCAB = 512
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CPU32 = Compute(torch.device("cpu"), torch.float32, "tests compute in float32 on the CPU")

CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)

SCIENCE_SYSTEM = (
    "\nGiven a question and four options, please select the right answer. Respond in the following"
    " format:\n<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>\n\nFor the answer, only output"
    " the letter corresponding to the correct option (A, B, C, or D), and nothing else. Do not restate"
    ' the answer text. For example, if the answer is "A", just output:\n<answer>\nA\n</answer>\n'
)
SCIENCE_DEFAULT = (
    "Given a question and four options, please select the right answer. Your answer should be"
    ' "A", "B", "C" or "D". Please directly give the answer without any explanation.'
)
CITIES = ("Paris", "Oslo", "Rome", "Lima", "Cairo", "Delhi", "Tokyo", "Quito")
ELEMENTS = ("iron", "neon", "zinc", "gold", "lead", "tin", "argon", "boron")


@dataclass(frozen=True)
class TinyData:
    """Where `write_datasets` put each file or folder; names say the format."""

    tooluse: Path  # JSONL with demonstrations
    tooluse_eval: Path  # folder written by `datasets`, no demonstrations
    science: Path  # SciKnowEval's own JSONL
    science_eval: Path  # folder written by `datasets`, messages and a letter
    mmlu: Path  # JSONL


def tooluse_rows(n: int = 12) -> list[dict[str, Any]]:
    """Tool-use items; every third asks for two calls."""
    rows = []
    for i in range(n):
        cities = [CITIES[(i + k) % len(CITIES)] for k in range(2 if i % 3 == 2 else 1)]
        question = f"What is the weather in {' and '.join(cities)}?"
        calls = [
            {"Action": "getWeather", "Action_Input": json.dumps({"city": city, "days": i % 4 + 1})}
            for city in cities
        ]
        rows.append(
            {
                "prompt": (
                    "Use the tools.\nName: Weather\ngetWeather: the weather of a city\n"
                    'Parameters: {"city": "string", "days": "integer"}\n'
                    f"Thought: think\nAction: the tool\nAction Input: JSON\n\nBegin!\nQuestion: {question}"
                ),
                "name": "Weather" if i % 2 else "Climate",
                "instruction": question,
                "golden_answer": calls,
                "golden_response": [
                    f"Thought: I should call getWeather.\nAction: {call['Action']}\n"
                    f"Action Input: {call['Action_Input']}"
                    for call in calls
                ],
            }
        )
    return rows


def _science_item(i: int) -> tuple[str, list[str], str]:
    options = [ELEMENTS[(i + k) % len(ELEMENTS)] for k in range(4)]
    letter = "ABCD"[i * 3 % 4]
    return f"Which element has number {i + 5}?", options, letter


def sciknoweval_rows(n: int = 12) -> list[dict[str, Any]]:
    """Science items as SciKnowEval publishes them: an answer key and no worked solution."""
    rows = []
    for i in range(n):
        question, options, letter = _science_item(i)
        rows.append(
            {
                "prompt": {"default": SCIENCE_DEFAULT},
                "question": question,
                "choices": {"text": options, "label": list("ABCD")},
                "answerKey": letter,
                "type": "mcq-4-choices",
                "domain": "Chemistry",
                "details": {"level": "L3", "task": "elements", "subtask": f"part_{i % 2}"},
                "answer": "",
            }
        )
    return rows


def science_eval_rows(n: int = 8) -> list[dict[str, Any]]:
    """Science items as the evaluation folder holds them: system and user message, and a letter."""
    rows = []
    for i in range(100, 100 + n):
        question, options, letter = _science_item(i)
        lines = "\n".join(f"{label}: {text}" for label, text in zip("ABCD", options, strict=True))
        rows.append(
            {
                "prompt": [
                    {"content": SCIENCE_SYSTEM, "role": "system"},
                    {"content": f"{question}\n\n{lines}", "role": "user"},
                ],
                "answer": letter,
            }
        )
    return rows


def mmlu_rows(n: int = 12) -> list[dict[str, Any]]:
    """Multiple-choice items as on the hub: four choices and the index of the right one."""
    return [
        {
            "question": f"Which city comes after {CITIES[i % len(CITIES)]} in list {i}?",
            "subject": ("geography", "prehistory")[i % 2],
            "choices": [CITIES[(i + k) % len(CITIES)] for k in range(1, 5)],
            "answer": i % 4,
        }
        for i in range(n)
    ]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """One JSON object a line."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def write_datasets(folder: Path, n: int = 12) -> TinyData:
    """Write one dataset of each real format under `folder`, `n` items each (folders: two thirds)."""
    folder.mkdir(parents=True, exist_ok=True)
    n_eval = max(1, n * 2 // 3)
    tooluse_eval = [
        {key: value for key, value in row.items() if key != "golden_response"}
        for row in tooluse_rows(n + n_eval)[n:]
    ]
    result = TinyData(
        tooluse=write_jsonl(folder / "tooluse.jsonl", tooluse_rows(n)),
        tooluse_eval=folder / "tooluse_eval",
        science=write_jsonl(folder / "science.jsonl", sciknoweval_rows(n)),
        science_eval=folder / "science_eval",
        mmlu=write_jsonl(folder / "mmlu.jsonl", mmlu_rows(n)),
    )
    _save_folder(result.tooluse_eval, tooluse_eval)
    _save_folder(result.science_eval, science_eval_rows(n_eval))
    return result


def _save_folder(path: Path, rows: list[dict[str, Any]]) -> None:
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(rows).save_to_disk(str(path))


@lru_cache(maxsize=1)
def _trained_bpe() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges, learned from the tiny datasets' own words.

    Text is split as Qwen2 splits it: AutoTokenizer opens any qwen2 folder as Qwen2Tokenizer, which
    keeps only vocabulary and merges of tokenizer.json.
    """
    rows = [*tooluse_rows(), *sciknoweval_rows(), *science_eval_rows(), *mmlu_rows()]
    corpus = [json.dumps(row).replace("\\n", "\n") for row in rows]
    corpus += ["system\n", "user\n", "assistant\n"] * 4
    qwen = Qwen2Tokenizer().backend_tokenizer
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = qwen.normalizer
    tokenizer.pre_tokenizer = qwen.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def tiny_tokenizer() -> Qwen2Tokenizer:
    """A fresh tokenizer of exactly VOCAB entries, with the ChatML template."""
    vocab, merges = _trained_bpe()
    tokenizer = Qwen2Tokenizer(
        vocab=dict(vocab), merges=list(merges), eos_token=END, pad_token=PAD, unk_token=PAD
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [START]})
    tokenizer.chat_template = CHATML
    assert len(tokenizer) == VOCAB
    return tokenizer


def tiny_model(
    seed: int = 0, *, tie: bool = True, layers: int = LAYERS, vocabulary: int = VOCAB
) -> Qwen2ForCausalLM:
    """A random float32 model in eval mode; the global random state is left as it was.

    Weights are wider than usual (0.3) so that its distributions are far from uniform.
    """
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=FFN,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=tie,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # initialised to zero, which would hide a forgotten bias
                torch.nn.init.normal_(parameter, std=0.1)
    model.generation_config = GenerationConfig(eos_token_id=[2, 0], pad_token_id=0)
    return model.eval()


def build_tiny(
    folder: Path,
    *,
    seed: int = 0,
    tie: bool = True,
    layers: int = LAYERS,
    vocabulary: int = VOCAB,
    with_tokenizer: bool = True,
) -> Path:
    """Write the model (and its tokenizer) as a safetensors folder and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model = tiny_model(seed, tie=tie, layers=layers, vocabulary=vocabulary)
    model.save_pretrained(folder)
    if with_tokenizer:
        tiny_tokenizer().save_pretrained(folder)
    return folder


def tiny_base(
    folder: Path,
    *,
    seed: int = 0,
    tie: bool = True,
    layers: int = LAYERS,
    vocabulary: int = VOCAB,
) -> Checkpoint:
    """A registered base checkpoint: `folder/base` with a manifest that points at `folder/tiny`.

    A `vocabulary` of more than VOCAB entries is padded: the tokenizer does not know the others.
    """
    weights = build_tiny(folder / "tiny", seed=seed, tie=tie, layers=layers, vocabulary=vocabulary)
    path = folder / "base"
    path.mkdir(parents=True, exist_ok=True)
    inputs = {"digest": f"tiny-{seed}-{tie}-{layers}-{vocabulary}"}
    checkpoint = Checkpoint(
        identity=identity_of(None, {"kind": "base"}, inputs),
        path=path,
        parent=None,
        parent_path=None,
        kind="base",
        storage="full",
        dtype="float32",
        spec={"kind": "base"},
        inputs=inputs,
        facts={"weights": str(weights.resolve())},
    )
    write_manifest(checkpoint)
    return checkpoint
