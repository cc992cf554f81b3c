"""A process that answers recipes as `core.engine.foresight` does, at once and without torch.

The recipe's name steers it: "error …" is answered by an error, "end …" by ending, "nonsense …" by no JSON,
"huge …" by a stage that no machine holds, "slow …" after a while, "timed …" by ten seconds a step.
"""

from __future__ import annotations

import json
import sys
import time

from core.engine.estimate import Estimate, Item, Machine, Phase, StageEstimate, to_record

GIB = 2**30
SLOW_SECONDS = 1.0
USUAL_SECONDS, STEP_SECONDS = 130.0, 10.0


def estimate(
    kinds: dict[str, str], size: float, seconds: dict[str, float] | None = None
) -> Estimate:
    """An estimate of these stages (id -> kind), the training ones of `size` GiB."""
    stages = []
    for name, kind in kinds.items():
        training = kind in ("sft", "sdft")
        items = (
            Item("libraries", GIB),
            Item("student", GIB),
            Item("activations", int((size - 2) * GIB) if training else 0),
        )
        stages.append(
            StageEstimate(
                name,
                kind,
                (Phase("load", items[:2]), Phase("backward", items)),
                steps=80 if training else 0,
                seconds=(seconds or {}).get(name, USUAL_SECONDS),
                lengths="data" if training else "",
                tokens=512 if training else 0,
                knobs=("gradient_checkpointing", "chunk_tokens") if training else (),
            )
        )
    machine = Machine("cpu", "float32", 16 * GIB, 12 * GIB, 5e10, 2e10, 4e-4)
    return Estimate(machine, tuple(stages))


def main() -> None:
    """Answer every line."""
    for line in sys.stdin:
        recipe = json.loads(line)
        word = recipe["name"].split(" ")[0].lower()
        if word == "end":
            return
        if word == "slow":
            time.sleep(SLOW_SECONDS)
        if word == "nonsense":
            answer = "no answer"
        elif word == "error":
            answer = json.dumps({"error": "There is no such device.", "hint": "Choose another."})
        else:
            kinds = {stage["id"]: stage["kind"] for stage in recipe["stages"]}
            seconds = {
                stage["id"]: STEP_SECONDS * (stage.get("max_steps") or 0)
                for stage in recipe["stages"]
                if word == "timed"
            }
            made = estimate(kinds, 64 if word == "huge" else 4, seconds)
            answer = json.dumps(to_record(made))
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
