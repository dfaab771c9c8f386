"""Published measurements of memory and speed, predicted and held against."""
