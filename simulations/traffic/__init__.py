"""Traffic: readers of recorded traces, and made ones."""
