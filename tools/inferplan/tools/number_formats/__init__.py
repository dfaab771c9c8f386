"""One model in several number formats, side by side."""
