"""What is said of targets beside their ticks: Events once for each change, the status as long as no tick writes it."""

import pytest

from autoscaler.service.aside import Aside
from autoscaler.service.lastword import LastWord


class Told(list):
    """Events and statuses."""

    def announce(self, target, _uid, note):
        self.append((target, note.reason))

    def unsized(self, target, why):
        self.append((target, why))


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def aside(told):
    def last_word():
        return LastWord(lambda _: "u", lambda: None, told)

    return Aside(told, last_word(), last_word())


def test_a_file_that_cannot_be_used_is_told_once_and_so_is_that_it_can_again(aside, told):
    for trouble in ("", "a.yaml:1", "a.yaml:1", "", ""):
        aside.say({"voice/tts"}, {"voice/tts": trouble} if trouble else {}, {})
    assert told == [("voice/tts", "PolicyRefused"), ("voice/tts", "PolicyAccepted")]


def test_a_target_that_nothing_sizes_is_told_of_once_and_shown_until_it_is_sized(aside, told):
    for _ in range(2):
        aside.say((), {"voice/tts": "two files"}, {"voice/tts": "two files"})
    aside.say({"voice/tts"}, {}, {})
    aside.say({"voice/tts"}, {}, {})
    shown, unsized, again = (("voice/tts", what) for what in ("two files", "Unsized", "SizedAgain"))
    assert told == [shown, unsized, shown, again]


def test_a_target_whose_ticks_fail_is_not_said_to_be_sized_again(aside, told):
    for _ in range(2):
        aside.say({"voice/tts"}, {}, {"voice/tts": "its ticks fail"})
    assert ("voice/tts", "SizedAgain") not in told
