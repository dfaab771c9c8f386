"""Pure arithmetic of LLM serving: standard library only, bytes, seconds and USD inside."""
