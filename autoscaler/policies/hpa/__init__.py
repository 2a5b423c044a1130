"""The rule of the HorizontalPodAutoscaler, Kubernetes v1.36."""
