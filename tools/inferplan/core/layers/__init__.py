"""What the layers of a model are made of: attention of each kind, recurrent states, image encoders."""
