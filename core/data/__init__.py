"""Datasets: recognising formats, reading items, rendering prompts."""
