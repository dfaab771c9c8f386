"""Fleets and their bills: rates, owned GPUs, break-even, and what moves a bill."""
