"""The rule of Knative's pod autoscaler (KPA)."""
