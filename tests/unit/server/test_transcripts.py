"""From raw text to fields, and from a transcript to its written forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.audio.transcripts import (
    Transcript,
    join_texts,
    make_segment,
    plain_json,
    srt,
    verbose_json,
    vtt,
)
from inference_server.engines.recognition import Heard, Tagged, Word, parse_tags


@pytest.mark.parametrize(
    ("raw", "tagged"),
    [
        pytest.param(
            "<|en|><|NEUTRAL|><|Speech|><|woitn|> one two", ("one two", "en", "neutral", "speech"), id="plain"
        ),
        pytest.param("<|zh|><|HAPPY|><|BGM|><|withitn|>你好。", ("你好。", "zh", "happy", "bgm"), id="no blank"),
        pytest.param(
            "<|nospeech|><|EMO_UNKNOWN|><|Event_UNK|><|woitn|>", ("", "nospeech", "unknown", "unknown"), id="none"
        ),
        pytest.param("<|yue|><|SAD|><|Cough|><|woitn|>The.", ("The.", "yue", "sad", "cough"), id="nothing is dropped"),
        pytest.param("<|de|><|X|>text", ("text", None, None, None), id="unknown tags leave no trace"),
        pytest.param("<|en|><|Speech|>a <|Laughter|>b", ("a b", "en", None, "speech"), id="the first of a kind counts"),
        pytest.param("<|en|>a < b | c > d", ("a < b | c > d", "en", None, None), id="signs that are no tags stay"),
        pytest.param("", ("", None, None, None), id="silence"),
    ],
)
def test_tags_become_fields(raw: str, tagged: tuple) -> None:
    assert parse_tags(raw) == Tagged(*tagged)


@given(st.text())
def test_any_text_can_be_parsed(raw: str) -> None:
    assert len(parse_tags(raw).text) <= len(raw)


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        pytest.param([("你好", "zh"), ("世界", "yue")], "你好世界", id="no blank between Chinese parts"),
        pytest.param([("one", "en"), ("two", "en")], "one two", id="a blank between English ones"),
        pytest.param([("안녕", "ko"), ("세계", "ko")], "안녕 세계", id="and Korean ones"),
        pytest.param([("你好", "zh"), ("world", "en")], "你好 world", id="and at a change"),
        pytest.param([("", "nospeech"), ("one", "en"), ("", None)], "one", id="empty parts leave nothing"),
        pytest.param([], "", id="nothing"),
    ],
)
def test_parts_are_joined_as_their_languages_write(parts, joined) -> None:
    assert join_texts(parts) == joined


def transcript() -> Transcript:
    long = make_segment(0.0, 3.0, Heard("<|en|><|HAPPY|><|Speech|><|woitn|> one <two>"))
    short = make_segment(
        4.0,
        5.0,
        Heard("<|zh|><|SAD|><|BGM|><|woitn|>三四", (Word("三", 0.1, 0.2), Word("四", 0.5, 0.6))),
    )
    return Transcript(3661.5, (long, short))


def test_fields_of_the_whole_are_those_of_the_longest_part() -> None:
    whole = plain_json(transcript())
    assert (whole["language"], whole["emotion"], whole["event"]) == ("en", "happy", "speech")
    assert whole["text"] == "one <two> 三四"


def test_verbose_json_has_every_part_with_its_own_fields_and_word_times_of_the_recording() -> None:
    verbose = verbose_json(transcript(), words=True)
    assert [(s["start"], s["end"], s["emotion"]) for s in verbose["segments"]] == [(0, 3, "happy"), (4, 5, "sad")]
    assert [(w["word"], w["start"]) for w in verbose["words"]] == [("三", 4.1), ("四", 4.5)]
    assert "words" not in verbose_json(transcript(), words=False)


def test_subrip() -> None:
    assert srt(transcript()) == (
        "1\n00:00:00,000 --> 00:00:03,000\none <two>\n\n2\n00:00:04,100 --> 00:00:04,600\n三四\n\n"
    )


def test_webvtt_escapes() -> None:
    assert vtt(transcript()) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:03.000\none &lt;two&gt;\n\n00:00:04.100 --> 00:00:04.600\n三四\n\n"
    )


def test_cues_end_at_pauses_and_before_they_grow_too_long() -> None:
    words = (*(Word(str(n), n * 0.5, n * 0.5 + 0.4) for n in range(20)), Word("late", 12.0, 12.5))
    text = " ".join(word.text for word in words)
    cues = srt(Transcript(13, (make_segment(0, 13, Heard(f"<|en|>{text}", words)),))).split("\n\n")[:-1]
    assert [cue.split("\n")[1] for cue in cues] == [
        "00:00:00,000 --> 00:00:05,900",
        "00:00:06,000 --> 00:00:09,900",
        "00:00:12,000 --> 00:00:12,500",
    ]
    assert " ".join(cue.split("\n")[2] for cue in cues) == text


def test_hours_are_written() -> None:
    late = make_segment(3661.25, 3662.0, Heard("<|en|>late"))
    assert "01:01:01,250 --> 01:01:02,000" in srt(Transcript(3700, (late,)))
