"""The text of a config.json read key by key: types, bounds and defaults, and what is wrong with it in one sentence."""
