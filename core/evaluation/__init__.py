"""Tasks and scorers."""
