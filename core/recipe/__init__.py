"""The declared graph of stages: specs, validation, files, plan."""
