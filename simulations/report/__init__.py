"""Terminal table, HTML page, JSON."""
