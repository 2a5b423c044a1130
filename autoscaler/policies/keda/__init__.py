"""The rule of KEDA's ScaledObject: its operator and the HPA that it keeps."""
