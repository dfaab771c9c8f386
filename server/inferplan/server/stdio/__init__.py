"""Serving over stdio: first without the SDK, from what it said at build time, then with it behind."""
