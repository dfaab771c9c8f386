"""What is counted, and its exposition for Prometheus. Labels take known values alone, so that they stay few.

Several workers share their counts through files in a folder (see `counts`), which has to be named before this module is
imported.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response

from inferplan.server.http.counts import FOLDER

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

disable_created_metrics()
REQUESTS = Counter("inferplan_http_requests", "HTTP requests.", ["path", "method", "status"])
REQUEST_SECONDS = Histogram("inferplan_http_request_seconds", "Time to answer them.", ["path"], buckets=_SECONDS)
CALLS = Counter(
    "inferplan_calls", "MCP requests: answered, refused, cancelled or failed.", ["method", "name", "outcome"]
)
CALL_SECONDS = Histogram("inferplan_call_seconds", "Time to answer them.", ["method", "name"], buckets=_SECONDS)


async def metrics(_: Request) -> Response:
    """The counts of all workers as Prometheus reads them."""
    registry: CollectorRegistry = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
