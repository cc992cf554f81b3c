"""The window and the command line. Never imports torch."""
