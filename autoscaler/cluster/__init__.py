"""Fleet and actuator on the Kubernetes API."""
