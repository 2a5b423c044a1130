"""Who stands for leader where nobody says so: no two processes are the same candidate."""

import socket
from pathlib import Path

from autoscaler.cli.run import own_identity


def test_in_a_cluster_it_is_the_pods_name():
    """The admission policies compare it with the pod that writes."""
    assert own_identity(None) == socket.gethostname()


def test_processes_of_one_machine_stand_each_for_themselves():
    first, second = (own_identity(Path("kubeconfig")) for _ in range(2))
    assert first != second
    assert {each.rpartition("_")[0] for each in (first, second)} == {socket.gethostname()}
