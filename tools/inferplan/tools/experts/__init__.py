"""A mixture of experts beside a dense model."""
