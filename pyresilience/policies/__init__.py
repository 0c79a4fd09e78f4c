"""Pure machines: time comes in as a number, the verdict goes out as a value."""
