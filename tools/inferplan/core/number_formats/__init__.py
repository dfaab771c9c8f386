"""How number formats encode a value: elements, blocks with shared scales."""
