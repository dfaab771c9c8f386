"""What the time of one forward pass follows from: FLOPs, bytes, collectives, and the shares of the rated speeds."""
