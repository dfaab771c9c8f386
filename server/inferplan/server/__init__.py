"""The MCP server: the only place that imports the MCP SDK."""
