"""Requests over stdio that are not answered yet, by the ids that the client chose."""

from dataclasses import dataclass

import anyio
from mcp.shared.dispatcher import as_request_id, coerce_request_id
from mcp.types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId

from inferplan.server.batch import Place, Reply

GRACE_S = 20.0
"""How long the end of the input waits for answers; a model hub may take 15 s. [s]"""


@dataclass(eq=False, slots=True)
class Question:
    """A request that has no answer yet; its place is in a batch, if it came in one."""

    id: RequestId
    is_handshake: bool
    place: Place | None
    is_answered: bool = False

    def has_id(self, id_: RequestId) -> bool:
        """Whether this is its id: 1 is not "1", though the SDK takes it for that."""
        return (type(id_), id_) == (type(self.id), self.id)


class OpenQuestions:
    """Requests that have no answer yet, and the revision of the protocol of the session."""

    def __init__(self) -> None:
        self.revision: str | None = None
        """The revision agreed on in the last handshake; None where there was none."""
        self._alike: dict[RequestId, list[Question]] = {}
        self._mistakable: set[RequestId] = set()
        self._changed = anyio.Event()

    def ask(self, request: JSONRPCRequest, place: Place | None) -> Question:
        """Note a request that came in."""
        question = Question(request.id, request.method == "initialize", place)
        alike = self._alike.setdefault(coerce_request_id(request.id), [])
        alike.append(question)
        if len(alike) > 1:
            self._mistakable.add(coerce_request_id(request.id))
        return question

    def cancels(self, notification: JSONRPCNotification) -> bool:
        """Whether to pass a cancellation on to the SDK.

        Of some there is nothing to cancel, or the SDK might leave another request without an answer. The request is
        removed, unless the SDK has to decide first what becomes of its position in a batch.
        """
        id_ = as_request_id((notification.params or {}).get("requestId"))
        if id_ is None or coerce_request_id(id_) in self._mistakable:
            return False
        question = self._open(id_)
        if question and not question.place:
            self.close(question)
        return question is not None

    def answered(self, reply: Reply) -> Question | None:
        """Mark the request that a reply is to as answered, and return it; None where it is not open any more."""
        question = None if reply.id is None else self._open(reply.id)
        if question:
            question.is_answered = True
        if question and question.is_handshake and isinstance(reply, JSONRPCResponse):
            self.revision = reply.result.get("protocolVersion")
        return question

    def close(self, question: Question) -> None:
        """Remove a request that is answered or cancelled."""
        same = coerce_request_id(question.id)
        alike = self._alike.get(same, [])
        if question not in alike:
            return
        alike.remove(question)
        if not alike:
            del self._alike[same]
            self._mistakable.discard(same)
        self._changed.set()
        self._changed = anyio.Event()

    def any_left(self) -> bool:
        """Whether a request waits for its answer."""
        return bool(self._alike)

    async def none_left(self) -> None:
        """Wait until every request is answered, but not for ever."""
        with anyio.move_on_after(GRACE_S):
            while self._alike:
                await self._changed.wait()

    async def no_handshake_left(self) -> None:
        """Wait until the revision of the protocol is known."""
        while any(question.is_handshake for alike in self._alike.values() for question in alike):
            await self._changed.wait()

    def _open(self, id_: RequestId) -> Question | None:
        alike = self._alike.get(coerce_request_id(id_), [])
        return next((one for one in alike if one.has_id(id_) and not one.is_answered), None)
