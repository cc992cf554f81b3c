"""Any task of lm-eval (EleutherAI's harness) by its name, item by item; lm-eval itself is optional.

Prompts, worked examples, decoding, filters and metrics are lm-eval's own. What is ours is that items come
in chunks as they are scored, that a stop is heard between chunks, and that items known already are left out.
The requests of all items are built at once, so the worked examples of an item are those that one whole run
of lm-eval gives it, whatever was scored before; lm-eval's `samples` argument would draw them anew for each
chunk. Only a task that samples its answers (`do_sample`) depends on the chunks.

lm-eval seeds the global random states; they are put back. It runs here on a network that may be in training:
adapters stay, modes are restored, and the tokenizer it works on is a copy.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import importlib
import json
import logging
import os
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from numbers import Real
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import torch

from core.errors import UserError
from core.events import EvaluatedItem
from core.lm.adapter import plain_model
from core.lm.mode import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PREFERRED_METRICS = ("acc", "exact_match")
RIGHT_FROM = 0.5
"""An item is right from this value of its metric on; most metrics are 0 or 1."""
CHUNK = 32
_SUGGESTED = 3

# What lm_eval.simple_evaluate seeds, and with what (lm_eval.defaults).
_PYTHON_SEED = 0
_SEED = 1234


@dataclass(frozen=True)
class _Loaded:
    """A leaf task, with the number of worked examples that its author gave it (None: open)."""

    name: str
    task: Any
    num_fewshot: int | None


def item_count(name: str, include_path: str | None = None, limit: int | None = None) -> int:
    """How many items the task has, at most `limit` of each of its subtasks.

    Raises:
        UserError: lm-eval is not installed, has no such task, or cannot load its data.
    """
    return sum(_count(each.task, limit) for each in _load(name, include_path))


def protocol_parts(
    name: str,
    *,
    num_fewshot: int | None = None,
    limit: int | None = None,
    include_path: str | None = None,
) -> dict[str, str]:
    """What decides the meaning of a score besides the network, by name; long texts by their SHA-256.

    Raises:
        UserError: as `item_count`.
    """
    loaded = _load(name, include_path)
    counts = [_shots(each, num_fewshot) for each in loaded]
    return {
        "lm_eval": version("lm_eval"),
        "task": name,
        "version": _joined(str(each.task.VERSION) for each in loaded),
        "config": _digest(_config(each.task) for each in loaded),
        "documents": _digest(
            document for each in loaded for document in _first(each.task.eval_docs, limit)
        ),
        "num_fewshot": _joined(map(str, counts)),
        "fewshot": _digest(
            document
            for each, count in zip(loaded, counts, strict=True)
            if count
            for document in each.task.fewshot_docs() or ()
        )
        if any(counts)
        else "none",
        "fewshot_seed": str(_SEED),
        "chat_template": "none",
        "metric": _joined(_metric(each.task) for each in loaded),
        "filter": _joined(_filter(each.task) for each in loaded),
    }


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    *,
    num_fewshot: int | None = None,
    limit: int | None = None,
    batch_size: int = 8,
    include_path: str | None = None,
    chunk: int = CHUNK,
    done: Collection[str] = (),
    check: Callable[[], None] = lambda: None,
) -> Iterator[tuple[EvaluatedItem, ...]]:
    """Score the items that are not done, chunk by chunk.

    Args:
        model: a causal network, with or without adapters; it is only read.
        tokenizer: the model's.
        name: of a task, a group or a tag of lm-eval.
        num_fewshot: worked examples; None leaves the task its own number. A task whose author fixed none
            shows none, as in lm-eval.
        limit: only the first items, of each subtask.
        batch_size: requests that go through the network together.
        include_path: folder with further task files (YAML), searched before lm-eval's own.
        chunk: items after which results are handed over.
        done: ids of items to leave out. An item's id is its place in its documents, after the subtask's
            name and a slash where there are several.
        check: called before every chunk; raises to stop.

    Raises:
        UserError: as `item_count`; or the task needs what is not done here: running code that a model wrote,
            pictures, or a metric that no single item has.
    """
    loaded = _load(name, include_path)
    with _undisturbed(), evaluating(model):
        huggingface = importlib.import_module("lm_eval.models.huggingface")
        lm = huggingface.HFLM(
            pretrained=plain_model(model),
            tokenizer=copy.deepcopy(tokenizer),
            batch_size=batch_size,
        )
    for each in loaded:
        prefix = f"{each.name}/" if len(loaded) > 1 else ""
        with _undisturbed():
            requests = _requests(each, num_fewshot, limit)
        left = [place for place in requests if f"{prefix}{place}" not in done]
        for start in range(0, len(left), chunk):
            check()
            part = left[start : start + chunk]
            with _undisturbed(), evaluating(model):
                _answer(lm, each.task, [request for place in part for request in requests[place]])
                items = tuple(
                    _item(f"{prefix}{place}", each.task, requests[place]) for place in part
                )
            yield items


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Inside the block random states are as lm-eval seeds them; afterwards all is as it was."""
    logger = logging.getLogger("lm_eval")
    level, environment = logger.level, dict(os.environ)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    logger.setLevel(logging.ERROR)
    try:
        with torch.random.fork_rng():
            random.seed(_PYTHON_SEED)
            np.random.seed(_SEED)
            torch.manual_seed(_SEED)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        logger.setLevel(level)
        for key in os.environ.keys() - environment.keys():
            del os.environ[key]
        os.environ.update(environment)


@lru_cache(maxsize=8)
def _manager(include_path: str | None, include_defaults: bool) -> Any:
    tasks = importlib.import_module("lm_eval.tasks")
    return tasks.TaskManager(include_path=include_path, include_defaults=include_defaults)


def _find(name: str, include_path: str | None) -> dict[str, Any]:
    """The leaf tasks by name; the given folder first, for lm-eval's own 13 000 files take some seconds."""
    if include_path:
        own = _manager(include_path, False)
        if name in own.all_tasks:
            try:
                return dict(own.load([name])["tasks"])
            except KeyError:  # a group of tasks that lm-eval brings
                pass
    manager = _manager(include_path, True)
    if name not in manager.all_tasks:
        near = difflib.get_close_matches(name, manager.all_tasks, _SUGGESTED)
        raise UserError(
            f"lm-eval {version('lm_eval')} has no task {name}.",
            f"Similar names: {', '.join(near)}." if near else "Its tasks: lm_eval ls tasks",
        )
    return dict(manager.load([name])["tasks"])


@lru_cache(maxsize=8)
def _load(name: str, include_path: str | None) -> tuple[_Loaded, ...]:
    if find_spec("lm_eval") is None:
        raise UserError(
            f"Task {name} is one of lm-eval's, and lm-eval is not installed.",
            "Install it into the environment that `make run` uses:"
            " .venv/bin/uv pip install --python .venv 'lm-eval>=0.4.13'",
        )
    datasets.disable_progress_bars()
    with _undisturbed():
        try:
            found = _find(name, include_path)
        except ImportError as error:
            raise UserError(
                f"Task {name} of lm-eval needs a package that is not installed: {error}",
                "Install that package, or choose another task.",
            ) from error
        except (OSError, ValueError, RuntimeError) as error:
            # Of datasets: not found, not reachable, no such split, or a script that is not run.
            raise UserError(
                f"The data of lm-eval's task {name} cannot be loaded: {error}",
                "Check the network connection; or write a task file over downloaded data and name its folder.",
            ) from error
    loaded = tuple(_Loaded(key, task, task.config.num_fewshot) for key, task in found.items())
    for each in loaded:
        _check(each)
    return loaded


def _check(loaded: _Loaded) -> None:
    task = loaded.task
    if getattr(task, "UNSAFE_CODE", False):
        raise UserError(
            f"Task {loaded.name} of lm-eval runs code that the model writes, which is never run here.",
            "Choose another task.",
        )
    if getattr(task, "MULTIMODAL", False):
        raise UserError(
            f"Task {loaded.name} of lm-eval shows pictures or sounds; only text is read here.",
            "Choose another task.",
        )
    _metric(task)


def _count(task: Any, limit: int | None) -> int:
    size = len(task.eval_docs)
    return size if limit is None else min(size, limit)


def _first(documents: Any, limit: int | None) -> Iterator[Any]:
    for place, document in enumerate(documents):
        if limit is not None and place >= limit:
            return
        yield document


def _shots(loaded: _Loaded, wanted: int | None) -> int:
    """As lm_eval.simple_evaluate decides: a task whose author fixed none shows none."""
    if loaded.num_fewshot == 0:
        return 0
    return wanted if wanted is not None else loaded.num_fewshot or 0


def _requests(loaded: _Loaded, num_fewshot: int | None, limit: int | None) -> dict[int, list[Any]]:
    """The requests of each item by its place, in the order of the documents."""
    task = loaded.task
    task.set_config(key="num_fewshot", value=_shots(loaded, num_fewshot))
    task.set_fewshot_seed(seed=_SEED)
    try:
        task.build_all_requests(limit=limit)
    except (AssertionError, ValueError) as error:  # what lm-eval raises for too few documents
        raise UserError(
            f"lm-eval cannot make the requests of task {loaded.name}: {error}",
            "Lower num_fewshot, or correct the task file.",
        ) from error
    found: dict[int, list[Any]] = {}
    for instance in task.instances:
        found.setdefault(instance.doc_id, []).append(instance)
    return found


def _answer(lm: Any, task: Any, instances: Sequence[Any]) -> None:
    """Ask the network, and filter what it says, as lm_eval.evaluate does."""
    kinds: dict[str, list[Any]] = {}
    for instance in instances:
        kinds.setdefault(instance.request_type, []).extend([instance] * (instance.repeats or 1))
    for kind, asked in kinds.items():
        answers = getattr(lm, kind)(asked, disable_tqdm=True)
        for instance, given in zip(asked, answers, strict=True):
            instance.resps.append(given)
    for ensemble in task._filters:
        ensemble.apply(instances)


def _item(identity: str, task: Any, requests: Sequence[Any]) -> EvaluatedItem:
    document = requests[0].doc
    ordered = sorted(requests, key=lambda request: request.idx)
    answers = [request.filtered_resps[_filter(task)] for request in ordered]
    metrics = task.process_results(document, answers)
    value = metrics.get(_metric(task), next(iter(metrics.values()), None))
    if not isinstance(value, Real):
        raise UserError(
            f"Metric {_metric(task)} of lm-eval's task {task.task_name} gives no number for a single item.",
            "Choose a task with accuracy or exact match.",
        )
    completion, gold = _texts(task, document, answers)
    return EvaluatedItem(
        item=identity,
        correct=float(value) >= RIGHT_FROM,
        score=float(value),
        completion=completion,
        gold=gold,
    )


def _texts(task: Any, document: Any, answers: Sequence[Any]) -> tuple[str, str]:
    """What was answered and what is right, for reading."""
    several = getattr(task, "multiple_input", 0)
    target = task.doc_to_text(document) if several else task.doc_to_target(document)
    open_ended = task.config.doc_to_choice is None
    choices = [] if open_ended else [str(each) for each in task.doc_to_choice(document)]
    if isinstance(target, int) and 0 <= target < len(choices):
        target = choices[target]
    if task.OUTPUT_TYPE == "multiple_choice":
        likelihoods = [likelihood for likelihood, _ in answers[: len(choices)]]
        return choices[likelihoods.index(max(likelihoods))], str(target)
    return str(answers[0]), str(target)


def _metric(task: Any) -> str:
    """The metric that makes an item's score: accuracy, else exact match, else the first where more is better."""
    names = [name for name in task.aggregation() if task.higher_is_better().get(name, True)]
    preferred = [name for name in PREFERRED_METRICS if name in names]
    if not names:
        raise UserError(
            f"Task {task.task_name} of lm-eval has no metric of which more is better.",
            "Choose a task with accuracy or exact match.",
        )
    return str((preferred or names)[0])


def _filter(task: Any) -> str:
    """The name of the first filter; lm-eval shows the result of each."""
    filters = task.config.filter_list
    return str(filters[0]["name"]) if filters else "none"


def _config(task: Any) -> dict[str, Any]:
    """The task's configuration without what is recorded apart or depends on the machine."""
    apart = ("dataset_kwargs", "metadata", "num_fewshot")
    return {key: value for key, value in task.dump_config().items() if key not in apart}


def _digest(parts: Iterator[Any]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(json.dumps(part, sort_keys=True, default=str).encode() + b"\n")
    return found.hexdigest()


def _joined(values: Iterator[str]) -> str:
    """The different values, in their order."""
    return ", ".join(dict.fromkeys(values))
