"""What this package costs, measured beside others in one run: `python -m benchmarks`."""
