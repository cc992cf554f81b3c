"""Language models on disk and in memory: formats, checkpoints, adapters, devices."""
