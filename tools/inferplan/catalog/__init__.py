"""Facts as data: models, GPUs, formats, prices, presets and a glossary, each row with its source."""
