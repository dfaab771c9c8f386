"""One model on one GPU type under one question: its settings, what an engine runs of it, and the command."""
