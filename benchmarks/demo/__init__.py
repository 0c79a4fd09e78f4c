"""The library at work: many callers, a flaky upstream, and what each side of the wire sees of it."""
