"""One optimizer step of SDFT, ours beside TRL's SDFTTrainer: time, peak memory, and the same loss.

Each side lives in a process of its own, with the same tiny-hidden Qwen2 of a real vocabulary, the same prompts
and demonstrations, LoRA on the same modules, the frozen base as teacher, and forward KL over the full vocabulary.
Steps alternate between the two, so that what else the machine does meets both. Completions are sampled by each
side for itself; those that TRL sampled are also scored by ours, for the comparison of losses. The learning rate
is zero, which changes no cost and keeps the networks equal.

`--sizes`, `--steps`, `--batch` and `--new-tokens` change the sizes. The last line is JSON; ratios are ours over
TRL's, of medians.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil

MIB = 2**20
TOKENIZER = Path(__file__).resolve().parents[2] / "resources" / "models" / "rekindle-1m"
PROMPT = (
    "Tell me the symbol of the element and the family of each of " + "gold and iron and tin, " * 2
)
DEMONSTRATION = "<reasoning>The symbol of gold is Au.</reasoning>\n<answer>Au</answer>"
SKIPPED = 3
ITEMS = 64
RANK = 16


def make(folder: Path, vocabulary: int) -> None:
    """A random Qwen2: hidden 128, 4 layers."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        initializer_range=0.2,  # wide enough for losses worth comparing
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def questions() -> list[str]:
    """Prompts of about 64 tokens, each different."""
    return [f"{PROMPT}{index} of them." for index in range(ITEMS)]


class Watch:
    """Time of a step, and the most memory since the first one began above what there was before it."""

    def __init__(self) -> None:
        self._before = psutil.Process().memory_info().rss
        self._started = 0.0

    def begin(self) -> None:
        self._started = time.perf_counter()

    def end(self) -> dict[str, float]:
        seconds = time.perf_counter() - self._started
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return {"seconds": seconds, "extra_mib": (peak - self._before) / MIB}


def ours(pipe: Connection, folder: Path, settings: dict[str, Any]) -> None:
    """Answers each "step" with what it cost, and each list of completions with their loss."""
    import torch

    from core.data.chat import prompt_ids, teacher_messages
    from core.data.example import Dataset, Example, Message
    from core.lm.device import choose
    from core.recipe.sources import ModelSource
    from core.recipe.training_specs import SdftSpec
    from core.stages import base
    from core.stages.context import StageContext
    from core.stages.distilling import Completion, Shown
    from core.stages.objective import Share
    from core.stages.optimizer import MasterAdamW
    from core.stages.sdft import SelfDistillation
    from core.stages.student import prepare
    from core.stages.teachers import Teachers

    work = folder.parent / "ours"
    (work / "checkpoints").mkdir(parents=True)
    (work / "cache").mkdir()
    compute = choose("cpu", "float32")
    source = ModelSource(folder=str(folder), dtype="float32")
    checkpoint = base.run(source, work / "checkpoints", work / "cache", None)
    spec = SdftSpec(
        id="sdft",
        dataset="questions",
        per_device_train_batch_size=settings["batch"],
        gradient_accumulation_steps=1,
        max_completion_length=settings["new_tokens"],
        num_loss_tokens_to_skip=SKIPPED,
        lora_r=RANK,
        lora_alpha=2 * RANK,
        logging_completions=100_000,
    )
    examples = [
        Example(str(index), (Message("user", text),), DEMONSTRATION)
        for index, text in enumerate(questions())
    ]
    context = StageContext(
        stage="sdft",
        subject="base",
        identity="0" * 64,
        folder=work,
        seed=0,
        compute=compute,
        inputs={},
        datasets=lambda name: Dataset(name, "", "", "", tuple(examples)),
        tasks={},
        checkpoint_of=lambda name: checkpoint,
        emit=lambda event: None,
        stop=lambda: None,
        save_now=lambda: False,
    )
    student = prepare(spec, checkpoint, context)
    items = [
        Shown(
            it,
            prompt_ids(student.tokenizer, it.messages),
            prompt_ids(student.tokenizer, teacher_messages(it)),
        )
        for it in examples
    ]
    teachers = Teachers(spec, checkpoint, student, context)
    assert teachers.loaded[0].network == "parent"
    objective = SelfDistillation(spec, student, teachers, [], context)
    optimizer = MasterAdamW(student.model, 0.0)

    class Steps:
        steps = settings["steps"]

        def at(self, step: int) -> Share[Shown]:
            first = (step - 1) * settings["batch"] % ITEMS
            some = items[first : first + settings["batch"]]
            return Share(some, some)

    backward: Callable[[torch.Tensor], None] = lambda loss: loss.backward()  # noqa: E731
    number, watch = 0, Watch()
    while (asked := pipe.recv()) is not None:
        if asked == "step":
            number += 1
            watch.begin()
            optimizer.zero_grad()
            report = objective.report(number, [objective.accumulate(number, Steps(), backward)])
            optimizer.clip(1.0)
            optimizer.step(0.0)
            cost = watch.end()
            assert report.values["completion_length"] == settings["new_tokens"]
            pipe.send(cost)
            continue
        places, completions = asked
        scored = [
            Completion(items[at], ids, False) for at, ids in zip(places, completions, strict=True)
        ]
        pipe.send(objective.distiller.score(scored, len(scored), None).loss)


def trl(pipe: Connection, folder: Path, settings: dict[str, Any]) -> None:
    """Answers each "step" with what it cost, its completions and its loss."""
    import warnings

    warnings.simplefilter("ignore")
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl.experimental.sdft import SDFTConfig, SDFTTrainer

    from core.recipe.template import TEACHER_TEMPLATE

    template = TEACHER_TEMPLATE.replace("{question}", "{prompt}")
    template = template.replace("{demonstration}", "{privileged_context}")
    seen: dict[str, Any] = {}
    watch: list[Watch] = []

    class Talk(TrainerCallback):
        def on_step_begin(self, *args: Any, **more: Any) -> None:
            pipe.recv()
            if not watch:
                watch.append(Watch())
            watch[0].begin()

        def on_step_end(self, *args: Any, **more: Any) -> None:
            seen["cost"] = watch[0].end()

        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any
        ) -> None:
            if "loss" in logs:
                pipe.send({**seen.pop("cost"), **seen, "loss": logs["loss"]})

        def on_self_distillation_batch_prepared(self, **more: Any) -> None:
            seen["completions"] = more["completion_ids"].tolist()
            seen["prompts"] = more["prompt_ids"].tolist()

    tokenizer = AutoTokenizer.from_pretrained(folder)
    trainer = SDFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype="float32"),
        args=SDFTConfig(
            output_dir=str(folder.parent / "trl"),
            per_device_train_batch_size=settings["batch"],
            gradient_accumulation_steps=1,
            num_generations=1,
            max_steps=settings["steps"],
            learning_rate=0.0,
            max_completion_length=settings["new_tokens"],
            num_loss_tokens_to_skip=SKIPPED,
            distillation_mode="full_logits",
            distillation_alpha=0.0,
            teacher_model_kind="base",
            teacher_prompt_template=template,
            temperature=1.0,
            top_k=0,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            shuffle_dataset=False,
        ),
        train_dataset=Dataset.from_list(
            [
                {"prompt": [{"role": "user", "content": text}], "privileged_context": DEMONSTRATION}
                for text in questions()
            ]
        ),
        processing_class=tokenizer,
        callbacks=[Talk()],
        peft_config=LoraConfig(
            r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    trainer.train()


def compare(vocabulary: int, settings: dict[str, Any]) -> dict[str, float]:
    """Alternate steps of both sides at one vocabulary."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        maker = spawn.Process(target=make, args=(folder, vocabulary))
        maker.start()
        maker.join()
        pipes = {}
        for name, side in (("ours", ours), ("trl", trl)):
            pipes[name], theirs = spawn.Pipe()
            spawn.Process(target=side, args=(theirs, folder, settings), daemon=True).start()
            theirs.close()  # so that its end is seen here
        from transformers import AutoTokenizer

        from core.data.chat import prompt_ids
        from core.data.example import Message

        tokenizer = AutoTokenizer.from_pretrained(folder)
        numbers = {
            tuple(prompt_ids(tokenizer, (Message("user", text),))): index
            for index, text in enumerate(questions())
        }
        print(f"V = {vocabulary:,}; prompts of {len(next(iter(numbers)))} tokens")
        seconds: dict[str, list[float]] = {"ours": [], "trl": []}
        extra: dict[str, float] = {}
        difference = 0.0
        for step in range(settings["steps"]):
            for name, pipe in pipes.items():
                pipe.send("step")
                got = pipe.recv()
                if step:  # the first one warms up
                    seconds[name].append(got["seconds"])
                extra[name] = got["extra_mib"]
                if name == "trl":
                    pad = tokenizer.pad_token_id
                    asked = [[it for it in row if it != pad] for row in got["prompts"]]
                    places = [numbers[tuple(row)] for row in asked]
                    assert all(len(row) == settings["new_tokens"] for row in got["completions"])
                    pipes["ours"].send((places, got["completions"]))
                    difference = max(difference, abs(pipes["ours"].recv() - got["loss"]))
        pipes["ours"].send(None)
    for name in pipes:
        print(f"{name:5} {median(seconds[name]):.2f} s a step, +{extra[name]:.0f} MiB")
    return {
        "vocabulary": vocabulary,
        "seconds_ours": round(median(seconds["ours"]), 3),
        "seconds_trl": round(median(seconds["trl"]), 3),
        "extra_mib_ours": round(extra["ours"], 1),
        "extra_mib_trl": round(extra["trl"], 1),
        "ratio_time": round(median(seconds["ours"]) / median(seconds["trl"]), 3),
        "ratio_memory": round(extra["ours"] / extra["trl"], 3),
        "loss_difference": difference,
    }


def main() -> None:
    """Compare at every size and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[151_936, 49_152])
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--new-tokens", type=int, default=64)
    settings = vars(parser.parse_args())
    os.environ["HF_HUB_OFFLINE"] = "1"
    found = [compare(size, settings) for size in settings["sizes"]]
    first = found[0]
    ratios = {key: first[key] for key in ("ratio_time", "ratio_memory", "loss_difference")}
    print(json.dumps({"bench": "sdft_step", **settings, **ratios, "by_size": found}))


if __name__ == "__main__":
    main()
