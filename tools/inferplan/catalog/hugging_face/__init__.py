"""Models that the catalog does not hold: read from their config.json, or from the hub that has them."""
