"""Reusable parts: theme, plots, heatmap, forms."""
