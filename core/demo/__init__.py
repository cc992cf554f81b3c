"""Procedural tasks on which a small model shows what the paper describes, in seconds and on a CPU.

Four families: `tooluse` (choose a tool and copy its arguments), `science` (facts about the elements),
`retention` (facts that the small model knows and no fine-tuning data contains) and `general` (short
completions scored by likelihood). Items are drawn without end from a numbered stream and assigned to the
splits train, tune and eval by a digest of their content, so splits are disjoint by construction.
"""
