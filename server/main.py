"""Where the MCPB bundle starts: hosts run this file with uv, which installs what `pyproject.toml` needs."""

import sys

from inferplan.server.__main__ import main

if __name__ == "__main__":
    sys.exit(main([]))
