"""The decision log: written, read back, explained."""
