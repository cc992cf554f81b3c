"""Items a second of log-likelihood tasks, ours beside lm-eval's HFLM: the same network, items and batch size.

MMLU and Winogrande, without and with five worked examples. Items are generated; `--data` takes a folder of
MMLU rows (JSONL files of question, subject, choices, answer) instead. lm-eval gets its own tasks over these
items and is timed from requests to likelihoods; ours is timed from items to likelihoods, in the batches of an
evaluation. Both run in one process, part by part in turn, so that what else the machine does meets both.

The last line is JSON: `speedup_over_lm_eval` over all items, `speedup_by_task`, the largest difference of an
item's log-likelihoods, and whether every accuracy is the same. `--device` moves the network.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from core.data.example import Dataset
from core.data.load import load
from core.evaluation.exam import Exam
from core.evaluation.options import MULTIPLE_CHOICE, WINOGRANDE, OptionScorer
from core.evaluation.scorer import Examinee
from core.lm.formats import resolve
from core.lm.named import locate, named_models
from core.recipe.sources import DatasetSource, ModelSource, Task
from tests.helpers.lm_eval_tasks import Row, loaded, write_mmlu, write_winogrande
from tests.helpers.tiny import write_jsonl

SHOTS = 5
POOL = 100  # sentences that worked examples are drawn from
SUBJECTS = ("astronomy", "management", "prehistory", "world_history")
PARTS = 2  # of each task, in turn with lm-eval's
THINGS = (
    "the northern valley", "a wide river", "the old observatory", "an early settlement", "the trade route",
    "a strong current", "the second expedition", "a council of elders", "the eastern province", "a thin layer",
)  # fmt: skip
DOINGS = (
    "was described first by", "depends mostly on", "came long before", "is usually larger than",
    "was replaced during the reform by", "cannot be explained without", "grew faster than",
)  # fmt: skip
NAMES = ("Sarah", "Maria", "James", "Robert", "Linda", "Kevin", "Emily", "Brian")
TRAITS = ("patient", "careful", "a better surgeon", "much taller", "less experienced", "richer")
ENDINGS = (
    "always got the easier cases.",
    "had to ask for help with the heavy boxes.",
    "was asked to teach the new people every other week.",
    "decided to stay at home.",
)


@dataclass
class Way:
    """What one side took and found for one task."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    likelihoods: dict[tuple[str, int], list[float]] = field(default_factory=dict)

    def timed(self, run: Callable[[], dict[tuple[str, int], list[float]]]) -> None:
        started, cpu_started = time.perf_counter(), time.process_time()
        self.likelihoods |= run()
        self.seconds += time.perf_counter() - started
        self.cpu_seconds += time.process_time() - cpu_started


def mmlu_rows(count: int) -> dict[str, list[Row]]:
    """Generated questions by subject, `count` and five for each subject's worked examples."""
    rng = random.Random(0)

    def clause() -> str:
        return f"{rng.choice(THINGS)} {rng.choice(DOINGS)} {rng.choice(THINGS)}"

    def row(subject: str) -> Row:
        stem = f"In {subject.replace('_', ' ')}, which statement holds where {clause()}"
        if rng.random() < 0.5:
            stem += f" and {clause()}"
        return {
            "question": f"{stem}?",
            "subject": subject,
            "choices": [f"{clause()}." for _ in range(4)],
            "answer": rng.randrange(4),
        }

    share = -(-count // len(SUBJECTS))
    return {subject: [row(subject) for _ in range(share + SHOTS)] for subject in SUBJECTS}


def given_rows(folder: Path, count: int) -> dict[str, list[Row]]:
    """Rows of JSONL files by subject, as many of each as `count` items and the worked examples take."""
    found: dict[str, list[Row]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                found.setdefault(row["subject"], []).append(row)
    share = -(-count // len(found))
    return {subject: rows[: share + SHOTS] for subject, rows in found.items()}


def winogrande_rows(count: int) -> list[Row]:
    """Generated sentences with a blank."""
    rng = random.Random(1)
    rows = []
    for _ in range(count):
        one, other = rng.sample(NAMES, 2)
        rows.append(
            {
                "sentence": f"{one} was {rng.choice(TRAITS)} than {other}, and nobody doubted it after"
                f" {rng.choice(THINGS)} {rng.choice(DOINGS)} {rng.choice(THINGS)}, so _ {rng.choice(ENDINGS)}",
                "option1": one,
                "option2": other,
                "answer": rng.choice("12"),
            }
        )
    return rows


def dataset_of(folder: Path, name: str, rows: list[Row]) -> Dataset:
    path = write_jsonl(folder / f"ours_{name}.jsonl", rows)
    return load(name, DatasetSource(file=str(path)), folder)


@dataclass(frozen=True)
class Kind:
    """One task: our scorer and settings, and its items and worked examples by the name of lm-eval's task."""

    scorer: OptionScorer
    settings: dict[str, Any]
    scored: dict[str, Dataset]
    shots: dict[str, Dataset]

    def exam(self, name: str, shots: int, batch_size: int) -> Exam:
        task = Task(
            **self.settings,
            dataset="items",
            fewshot_dataset="pool",
            num_fewshot=shots,
            batch_size=batch_size,
        )
        return Exam(name, task, self.scored[name], self.shots[name])


def written(folder: Path, settings: dict[str, Any]) -> dict[str, Kind]:
    """Write lm-eval's tasks into `folder` and read the same rows as ours."""
    items, data = settings["items"], settings["data"]
    subjects = given_rows(Path(data), items) if data else mmlu_rows(items)
    scored, shots = {}, {}
    left = items
    for subject, rows in subjects.items():
        dev, test = rows[:SHOTS], rows[SHOTS:][:left]
        left -= len(test)
        if test:
            write_mmlu(folder, subject, test, dev)
            scored[subject] = dataset_of(folder, subject, test)
            shots[subject] = dataset_of(folder, f"{subject}_dev", dev)
    sentences = winogrande_rows(items + POOL)
    train, test = sentences[:POOL], sentences[POOL:]
    write_winogrande(folder, "winogrande", test, train)
    return {
        "mmlu": Kind(MULTIPLE_CHOICE, {"scorer": "multiple_choice_v1"}, scored, shots),
        "winogrande": Kind(
            WINOGRANDE,
            {"scorer": "winogrande_v1", "fewshot_sampler": "random"},
            {"winogrande": dataset_of(folder, "winogrande", test)},
            {"winogrande": dataset_of(folder, "winogrande_train", train)},
        ),
    }


def compare(
    kind: Kind, folder: Path, shots: int, model: PreTrainedModel, tokenizer: Any, batch_size: int
) -> tuple[Way, Way]:
    """Run one task both ways, part by part in turn."""
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
    who = Examinee(model, tokenizer)
    instances: dict[tuple[str, int], list[Any]] = {}
    for name in kind.scored:
        for instance in loaded(folder, name, shots).instances:
            instances.setdefault((name, instance.doc_id), []).append(instance)

    def theirs(keys: list[tuple[str, int]]) -> dict[tuple[str, int], list[float]]:
        asked = [instance for key in keys for instance in instances[key]]
        answers = iter(lm.loglikelihood(asked, disable_tqdm=True))
        return {key: [next(answers)[0] for _ in instances[key]] for key in keys}

    def own(keys: list[tuple[str, int]]) -> dict[tuple[str, int], list[float]]:
        result, wanted = {}, set(keys)
        for name in dict.fromkeys(name for name, _ in keys):
            examples = kind.scored[name].examples
            places = {one.id: place for place, one in enumerate(examples)}
            others = {one.id for one in examples if (name, places[one.id]) not in wanted}
            exam = kind.exam(name, shots, batch_size)
            for batch in kind.scorer.likelihoods(who, exam, others):
                for one, found in batch:
                    result[name, places[one.id]] = [each.log_likelihood for each in found]
        return result

    lm_eval, ours = Way(), Way()
    for number, part in enumerate(parts(list(instances))):
        turns = [(lm_eval, theirs), (ours, own)]
        for way, run in turns if number % 2 else reversed(turns):
            way.timed(lambda run=run, part=part: run(part))
    return lm_eval, ours


def parts(keys: list[Any]) -> Iterator[list[Any]]:
    """Neighbouring items together, as a task holds them."""
    edges = [len(keys) * number // PARTS for number in range(PARTS + 1)]
    for start, end in pairwise(edges):
        yield keys[start:end]


def accuracy(way: Way, kind: Kind) -> float:
    right = [
        found.index(max(found)) == kind.scored[name].examples[number].gold_choice
        for (name, number), found in way.likelihoods.items()
    ]
    return sum(right) / len(right)


def network(settings: dict[str, Any]) -> tuple[PreTrainedModel, Any]:
    """The model, in float32 on a CPU and bfloat16 elsewhere."""
    name = settings["model"]
    source = ModelSource(name=name) if name in named_models() else ModelSource(folder=name)
    with tempfile.TemporaryDirectory() as cache:
        files = resolve(source, Path(cache))
        dtype = torch.float32 if settings["device"] == "cpu" else torch.bfloat16
        model = AutoModelForCausalLM.from_pretrained(files.folder, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(files.folder)
    return model.to(settings["device"]).eval(), tokenizer


def default_model() -> str:
    wanted = named_models()["smollm2-135m-instruct"]
    return wanted.name if locate(wanted) else "rekindle-1m"


def main() -> None:
    """Compare all tasks and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--model", default=default_model(), help="name of a model, or a folder")
    parser.add_argument("--data", default="", help="folder with MMLU rows as JSONL files")
    parser.add_argument("--device", default="cpu")
    settings = vars(parser.parse_args())
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    model, tokenizer = network(settings)
    record: dict[str, Any] = {"bench": "evaluate", **settings}
    spent = {"lm_eval": 0.0, "ours": 0.0}
    cpu_spent = {"lm_eval": 0.0, "ours": 0.0}
    worst, same = 0.0, True
    speedups: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        kinds = written(Path(place), settings)
        for name, kind in kinds.items():
            for shots in (0, SHOTS):
                lm_eval, ours = compare(
                    kind, Path(place), shots, model, tokenizer, settings["batch_size"]
                )
                task = f"{name}_{shots}_shot"
                count = len(ours.likelihoods)
                for key, found in ours.likelihoods.items():
                    pairs = zip(found, lm_eval.likelihoods[key], strict=True)
                    worst = max(worst, *(abs(one - other) for one, other in pairs))
                scores = accuracy(lm_eval, kind), accuracy(ours, kind)
                same = same and scores[0] == scores[1]
                for side, way in (("lm_eval", lm_eval), ("ours", ours)):
                    spent[side] += way.seconds
                    cpu_spent[side] += way.cpu_seconds
                    record[f"{task}_{side}_items_per_second"] = round(count / way.seconds, 3)
                record[f"{task}_accuracy"] = scores[1]
                speedups[task] = round(lm_eval.seconds / ours.seconds, 3)
                record[f"{task}_cpu_ratio"] = round(lm_eval.cpu_seconds / ours.cpu_seconds, 3)
                print(
                    f"{task:18} lm-eval {count / lm_eval.seconds:7.2f} items/s,"
                    f" ours {count / ours.seconds:7.2f}, accuracy {scores[0]:.3f} and {scores[1]:.3f}",
                    flush=True,
                )
    record["speedup_over_lm_eval"] = round(spent["lm_eval"] / spent["ours"], 3)
    record["speedup_by_task"] = speedups
    record["cpu_ratio"] = round(cpu_spent["lm_eval"] / cpu_spent["ours"], 3)
    record["largest_difference"] = worst
    record["same_accuracy"] = same
    print(json.dumps(record))


if __name__ == "__main__":
    main()
