"""Speech inference over HTTP and queues, with the metrics that scale it."""
