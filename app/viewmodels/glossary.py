"""The words that a newcomer may not know, each explained in two sentences where it stands.

One meaning each, the same as in the engine's docstrings. Pages hand these texts to
`app.widgets.explained`; the gallery lists them all.
"""

from __future__ import annotations

WORDS: dict[str, str] = {
    "base": "The model as it was before anything was done to it. Losses and recoveries are measured from here.",
    "degraded": "The model after it got worse: stored in fewer bits, pruned, or trained on something else.",
    "recovered": "The degraded model after training has brought back what it can.",
    "expert": "The model at the height of a skill that later training has taken away again.",
    "recovered fraction": (
        "The share of what was lost that has come back: 100 % is all of it. It is not given where the loss is "
        "within the noise of the measurement."
    ),
    "teacher": (
        "The network that scores the student's answers token by token. It has been shown an expert's "
        "answer in its prompt; the student has not."
    ),
    "student": "The network that is trained. It answers by itself and learns from how the teacher scores that.",
    "demonstration": "The expert's answer to a prompt, put into the teacher's prompt and hidden from the student.",
    "completion": "A text that the student wrote as its answer to a prompt, during training.",
    "rollout": "Letting the student write answers, to be scored by the teacher in the same step.",
    "SDFT": (
        "Self-distillation fine-tuning: the student answers, the teacher, who has seen a demonstration, scores "
        "every token, and the student moves towards the teacher's probabilities."
    ),
    "SFT": "Supervised fine-tuning: the model is trained to repeat the dataset's answers word by word.",
    "NF4": (
        "Four-bit NormalFloat: every weight becomes one of sixteen levels, spaced for bell-shaped weights, "
        "with one scale for each block of them."
    ),
    "LoRA": "Small matrices trained beside the frozen weights; their product is added to the weights.",
    "EMA": "Exponential moving average. As a teacher: the student's own weights, averaged over its past steps.",
    "divergence": (
        "How far the student's probabilities of the next token are from the teacher's, in nats a token. "
        "0 means that they agree."
    ),
    "entropy": "How undecided the model is about the next token, in nats. Near 0 it always says the same.",
    "CKA": (
        "Centred kernel alignment: how alike the activations of two layers are over the same inputs. 1 is "
        "equal up to rotation and scale, 0 is unrelated."
    ),
    "debiased": (
        "An estimate of CKA that chance does not raise. The plain one comes out too high where there are fewer "
        "inputs than dimensions."
    ),
    "null floor": (
        "The CKA that the same activations reach when their inputs are paired at random. Only what stands "
        "above it is likeness."
    ),
    "probe": (
        "The fixed inputs on which activations are compared. Here the word does not mean a classifier trained on them."
    ),
    "accuracy": (
        "The share of a task's items that were answered correctly. Its interval holds the accuracies that agree "
        "with this count, at 95 % confidence (Wilson)."
    ),
    "Wilson interval": (
        "The accuracies that agree with what was counted, at 95 % confidence. More items make it narrower; it "
        "never leaves 0 to 100 %."
    ),
    "McNemar": "A test on the items that two models answered differently; items they agree on say nothing about it.",
    "Holm": "A correction for asking several questions of the same data: the more are asked, the stricter each is.",
    "guard": "A check that runs beside the training and warns of collapse, stock phrases or cut prompts.",
    "protocol": (
        "Everything that decides how a score is measured: items, prompt, decoding, scorer. Scores of different "
        "protocols are never subtracted."
    ),
    "checkpoint": "Weights on the disk with a note of what they were made from and how.",
}


def explain(word: str) -> str:
    """The explanation of a word, as it is written in `WORDS`.

    Raises:
        KeyError: the word has no explanation.
    """
    return WORDS[word]
