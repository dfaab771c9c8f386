"""GGUF files: the types in which llama.cpp's mixes store each tensor, and what layers and ends take in them."""
