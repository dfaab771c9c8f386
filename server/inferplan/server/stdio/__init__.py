"""Serving over stdio: first without the SDK, from its recorded replies, then with it."""
