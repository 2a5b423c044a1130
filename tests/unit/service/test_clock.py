"""Whether the machine's clock was set."""

import pytest

from autoscaler.service.clock import ClockWatch


class Machine:
    """Two clocks, and a process that may be stopped between two looks at them."""

    def __init__(self):
        self.wall_s, self.monotonic_s, self.stops_s = 1_000_000.0, 50.0, []

    def wall(self):
        if self.stops_s:
            self.passes(self.stops_s.pop())
        return self.wall_s

    def passes(self, seconds, wall_s=None):
        self.monotonic_s += seconds
        self.wall_s += seconds if wall_s is None else wall_s

    def watch(self):
        return ClockWatch(self.wall, lambda: self.monotonic_s)


@pytest.mark.parametrize(
    ("passed_s", "by_the_wall_s", "step_s"),
    [
        pytest.param(1.0, 1.0, 0.0, id="time passes"),
        pytest.param(3600.0, 3600.0, 0.0, id="the process was stopped for an hour"),
        pytest.param(1.0, 1.4, 0.0, id="slewed"),
        pytest.param(1.0, 3601.0, 3600.0, id="set forwards, or the machine slept"),
        pytest.param(1.0, -3599.0, -3600.0, id="set back"),
    ],
)
def test_a_step_is_told_once(passed_s, by_the_wall_s, step_s):
    machine = Machine()
    watch = machine.watch()
    machine.passes(passed_s, by_the_wall_s)
    assert watch.step_s() == pytest.approx(step_s)
    machine.passes(1.0)
    assert watch.step_s() == 0.0


def test_steps_too_small_to_tell_add_up():
    machine = Machine()
    watch = machine.watch()
    told = []
    for _ in range(10):
        machine.passes(1.0, 2.0)
        told.append(watch.step_s())
    assert [round(step_s, 6) for step_s in told] == [0.0, 0.0, 0.0, 0.0, 5.0] * 2


def test_a_process_that_is_stopped_between_two_looks_sees_no_step():
    machine = Machine()
    watch = machine.watch()
    machine.stops_s = [60.0, 60.0]
    assert watch.step_s() == 0.0
