"""Policy files: a typed, closed schema, errors with file, line and column, and the manifests of peers as they are.

`find_policy("keda")`, `find_policy("./my-hpa.yaml")` and `find_workload("tts")` are the ways in.
"""

from autoscaler.spec.load import (
    Finding,
    LoadedPolicy,
    LoadedWorkload,
    find_policy,
    find_workload,
    load_file,
    shipped_policies,
    shipped_workloads,
)

__all__ = [
    "Finding",
    "LoadedPolicy",
    "LoadedWorkload",
    "find_policy",
    "find_workload",
    "load_file",
    "shipped_policies",
    "shipped_workloads",
]
