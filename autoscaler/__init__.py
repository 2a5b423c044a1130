"""A predictive autoscaler for GPU speech inference on Kubernetes."""

from importlib.metadata import version as _version

__version__ = _version("speech-autoscaler")
