"""A plain call, answered without the SDK, in the bytes that the SDK would write."""

from pydantic_core import to_json

from inferplan.server.answer import Answered, answer, reach
from inferplan.server.stdio.plain import Object
from inferplan.tools.registry import TOOLS_BY_NAME


def call(name: str, arguments: Object, of_every_result: Object) -> bytes | None:
    """The result of a call; None for an unknown tool, and for a call that takes long."""
    if name not in TOOLS_BY_NAME or (how_far := reach(arguments)).is_long:
        return None
    return _result(answer(lambda: TOOLS_BY_NAME[name], name, arguments, how_far), of_every_result)


def _result(answered: Answered, of_every_result: Object) -> bytes:
    """The result as the SDK writes it, `of_every_result` being what the protocol's revision adds."""
    result = {
        "content": [{"text": answered.text, "type": "text"}],
        "isError": answered.structured is None,
        "resultType": of_every_result.get("resultType"),
        "structuredContent": answered.structured,
        "_meta": of_every_result.get("_meta"),
    }
    return to_json({name: value for name, value in result.items() if value is not None})
