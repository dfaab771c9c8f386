"""The memory rules of each serving engine: weights of a rank, KV blocks, activation peak, buffers, adapters."""
