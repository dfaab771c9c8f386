"""The vision tower of a multimodal model: its parameters, and the sizes that its activation peak follows from."""
