"""From admission to result: places, fair order, batches, model threads, life cycle. No HTTP."""
