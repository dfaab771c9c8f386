"""In which format a checkpoint stores its weights and its KV cache, by `dtype` and `quantization_config`."""
