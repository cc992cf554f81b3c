"""Sentences for the guards' warnings, with their numbers told where a person would tell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.viewmodels import words

_SENTENCES = {
    "samples_dropped": "Samples were left out: longer than the limit, or too short to be compared.",
    "truncated_completions": "Completions ran into the length limit; allow longer ones if answers "
    "are cut.",
    "artefact_phrases": "Completions speak of the example that the teacher was shown; skip more "
    "tokens at the start.",
    "entropy_collapse": "The student's entropy has fallen far: it may be repeating itself.",
    "no_counted_tokens": "No token of this step carried a loss: the completions are shorter than "
    "the tokens skipped.",
    "sink_tokens_dropped": "Tokens of extreme norm were left out of the comparison.",
    "demonstration_no_help": "The demonstration does not help the teacher, so SDFT has little to teach. "
    "Bootstrap the model from a larger one first: preset Two stages.",
    "thinking_model": "This model thinks before it answers. A teacher that was shown an answer thinks less, "
    "and so will the student: watch the completion length.",
    "stopped_early": "Stopped early: the held-out loss fell no further.",
    "achieved_ratio": "The pruned share differs from the one asked for: widths are rounded.",
    "slow_device": "This device is slow in the precision asked for.",
    "contaminated": "The training data asks what the evaluation scores: the accuracy is partly learned by heart. "
    "Leave those items out of one of the two.",
    "probe_overlap": "Probe items that a task scores were left out, so that CKA is measured on items of its own.",
    "probe_budget": "Live CKA is measured as often as its share of the training time allows; raise max_share "
    "for more.",
}

Values = Mapping[str, float]


def _no_help(values: Values) -> str:
    alone = words.percent(values["accuracy_without_demonstration"])
    taught = words.percent(values["teacher_accuracy"])
    least = words.number(100 * values["least_lift"])
    return f"student {alone}, teacher shown it {taught}; at least {least} points more are expected"


def _stopped_early(values: Values) -> str:
    loss, step = words.number(values["held_out_loss"]), words.number(values["best_step"])
    count = words.number(values["measurements"])
    if "held_out_cka" in values:
        return (
            f"lowest at step {step}: {loss} nats/token; in {count} measurements in a row neither did it fall "
            f"nor the CKA to the teacher rise, which is {words.number(values['held_out_cka'])} now"
        )
    return (
        f"lowest at step {step}: {loss} nats/token; {count} measurements since without a lower one"
    )


def _contaminated(values: Values) -> str:
    shared, evaluated, same = (
        words.number(values[key]) for key in ("shared", "evaluated", "same_question")
    )
    tasks = "1 task" if values["tasks"] == 1 else f"{words.number(values['tasks'])} tasks"
    trained = words.number(values["trained"])
    return (
        f"{shared} of the {evaluated} scored items of {tasks}, {same} of them word for word, "
        f"in {trained} training items"
    )


def _probe_budget(values: Values) -> str:
    every, interval = words.number(values["every_steps"]), words.number(values["interval"])
    one, step = words.number(values["measurement_seconds"]), words.number(values["step_seconds"])
    reference = words.number(values["reference_seconds"])
    return (
        f"every {every} steps asked, about every {interval} taken, next at step "
        f"{words.number(values['next_step'])}; a measurement takes {one} s, a step {step} s, and reading the "
        f"reference took {reference} s"
    )


_NUMBERS: Mapping[str, Callable[[Values], str]] = {
    "demonstration_no_help": _no_help,
    "stopped_early": _stopped_early,
    "contaminated": _contaminated,
    "probe_budget": _probe_budget,
}
_SHORT: Mapping[str, Callable[[Values], str]] = {
    "demonstration_no_help": lambda it: (
        f"{words.percent(it['accuracy_without_demonstration'])} → {words.percent(it['teacher_accuracy'])}"
    ),
    "contaminated": lambda it: f"{words.number(it['shared'])} of {words.number(it['evaluated'])}",
    "stopped_early": lambda it: f"best: step {words.number(it['best_step'])}",
    "probe_budget": lambda it: f"every {words.number(it['interval'])} steps",
}


def guard(code: str, values: Values) -> str:
    """The sentence for a warning, with its numbers behind it."""
    sentence = _SENTENCES.get(code, words.plain(code) + ".")
    numbers = _told(_NUMBERS, code, values) or ", ".join(
        f"{words.plain(key).lower()} {words.number(it)}" for key, it in values.items()
    )
    return f"{sentence} ({numbers})" if numbers else sentence


def guard_now(code: str, values: Values) -> str:
    """The numbers of a warning in a cell of a table."""
    return _told(_SHORT, code, values) or ", ".join(map(words.number, values.values())) or "yes"


def _told(how: Mapping[str, Callable[[Values], str]], code: str, values: Values) -> str:
    """The numbers in words; "" where a warning of another version lacks one of them."""
    try:
        return how[code](values) if code in how else ""
    except KeyError:
        return ""
