"""The refusal of pickled weights: opening one runs whatever code its author put into it."""

from __future__ import annotations

from collections.abc import Iterable

from core.errors import UserError

PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
HOW_TO_CONVERT = (
    "Convert them once with transformers, on a machine where you trust the files: "
    "AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)."
)


def refuse_pickle(names: Iterable[str], where: str) -> None:
    """Raise when the only weights among the files `names` are pickled ones.

    Raises:
        UserError: there are pickled weights, and neither safetensors nor GGUF.
    """
    listed = list(names)
    pickled = [name for name in listed if name.endswith(PICKLED)]
    if pickled and not any(name.endswith((".safetensors", ".gguf")) for name in listed):
        raise UserError(
            f"The weights in {where} are pickled ({pickled[0]}); opening them would run code from the file.",
            HOW_TO_CONVERT,
        )
