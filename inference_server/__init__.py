"""Speech inference over HTTP and queues, with the metrics that scale it."""

from importlib.metadata import version as _version

__version__ = _version("speech-autoscaler")
