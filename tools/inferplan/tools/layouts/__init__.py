"""Parallel layouts compared: which to take, over one GPU type or all, and what else would do."""
