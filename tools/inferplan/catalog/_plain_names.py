"""What people say around the name of a model, as in "a dense 70B-parameter model", taken away."""

import re

_ARTICLES = ("a", "an", "the", "my", "our", "some", "this", "new", "in", "of", "with")
_KINDS = ("model", "models", "llm", "llms", "dense", "language", "transformer")
_COUNTED = ("param", "params", "parameter", "parameters")
_AROUND = frozenset((*_ARTICLES, *_KINDS, *_COUNTED))
"""Words of a sentence that are no part of a model's name."""
_BILLION = re.compile(r"(\d)[\s-]*(?:billion|bn)\b", re.IGNORECASE)
_EXPERTS = re.compile(r"\bmixture[\s-]of[\s-]experts\b", re.IGNORECASE)
_PARAMETERS = re.compile(r"(?<=\d)b[\s-]+(?=param|dense|model|class)", re.IGNORECASE)
_POSSESSIVE = re.compile(r"(?:'|\N{RIGHT SINGLE QUOTATION MARK})s\b")


def plainly(said: str) -> str:
    """The name without the words of a sentence around it; as it is where nothing else, or no space, is in it.

    >>> plainly("a dense 70B-parameter model"), plainly("Meta's Llama 3.1 70B"), plainly("the 745B mixture of experts")
    ('70B', 'Meta Llama 3.1 70B', '745B MoE')
    >>> plainly("a model"), plainly("70 billion parameters")
    ('a model', '70B')
    """
    text = _POSSESSIVE.sub("", _EXPERTS.sub("MoE", _BILLION.sub(r"\1B", said)))
    kept = [word for word in _PARAMETERS.sub("B ", text).split() if word.casefold() not in _AROUND]
    return " ".join(kept) or said


def is_called_dense(said: str) -> bool:
    """Whether a name says that the model is dense."""
    return "dense" in said.casefold().replace("-", " ").split()
