"""Pages: they paint view models and forward clicks."""
