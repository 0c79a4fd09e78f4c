"""Listeners that come with the library. They know events, and nothing else of it."""
