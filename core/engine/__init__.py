"""Executes a recipe: runner, worker process, recorder."""
