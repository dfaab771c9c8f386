"""The families of transformers by `model_type`: what their layers are made of, and what engines do with them."""
