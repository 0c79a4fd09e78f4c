"""The command line: `python -m pyresilience serve | top | stats`."""
