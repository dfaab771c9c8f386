"""Memory for the users asked for: the need, the GPUs that hold it, and what would make it fit."""
