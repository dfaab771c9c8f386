"""The log: a JSON object a line on stderr. It holds no token, no argument and no address of a client."""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

REQUESTS = "inferplan.http.requests"
"""The logger of the line that every request gets."""


class JsonLines(logging.Formatter):
    """A record as one line of JSON, with the fields of `extra={"fields": ...}` beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "pid": os.getpid(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def configuration(*, requests: bool) -> dict[str, Any]:
    """For `logging.config.dictConfig`, in each worker; of libraries, warnings and errors alone are logged."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "inferplan": {"level": "INFO"},
            REQUESTS: {"level": "INFO" if requests else "WARNING"},
            "uvicorn": {"level": "INFO"},
            "mcp.server.transport_security": {"level": "ERROR"},
        },
    }
