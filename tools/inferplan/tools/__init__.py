"""The six tools: a question, an answer, a function each."""
