"""What owning GPUs costs, and when it pays."""
