"""The engine: models, data, stages, store. Runs without a screen and knows no Qt."""
