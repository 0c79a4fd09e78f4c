"""One file, one stage: its config, its class and its two handlers."""
