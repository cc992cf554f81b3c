"""The composition of the engine: every stage by its kind, and what they need."""

from __future__ import annotations

from collections.abc import Mapping

from core.data.load import load
from core.engine.foresight import foresee
from core.engine.helper import Stage
from core.engine.parts import Parts
from core.engine.peak import PeakMemory
from core.lm.device import choose
from core.stages import base, bootstrap, cka, evaluate, prune, quantize, sdft, sft
from core.stages.live import live
from core.stages.training_state import saved_step

STAGES: Mapping[str, Stage] = {
    "quantize": quantize.run,
    "prune": prune.run,
    "sft": sft.run,
    "bootstrap": bootstrap.run,
    "sdft": sdft.run,
    "evaluate": evaluate.run,
    "cka": cka.run,
}
"""What executes a stage of each kind."""

PARTS = Parts(
    stages=STAGES,
    base=base.run,
    live=live,
    dataset=load,
    compute=choose,
    saved_step=saved_step,
    foresee=foresee,
    meter=lambda compute: PeakMemory(compute.device),
    protocols=evaluate.protocols,
)
