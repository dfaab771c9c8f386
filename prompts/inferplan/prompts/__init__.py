"""The words of the five-step planning workflow."""
