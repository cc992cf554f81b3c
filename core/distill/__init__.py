"""The mathematics of SDFT: rollout, teacher prompt, divergence. No loop, no I/O."""
