"""The YAML that is read, and where each part of it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.model import InvalidInput
from autoscaler.spec import load_file
from autoscaler.spec.document import MAX_BYTES, MAX_DEPTH, Place, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("99%", "99%"),
        ("15s", "15s"),
        ("700m", "700m"),
        ("1.2.3", "1.2.3"),
        ('"012"', "012"),
        ("'yes'", "yes"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_values_mean_what_yaml_1_2_says(text, value):
    assert parse(f"a: {text}".encode(), "f").data == {"a": value}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("yes", "a switch to some YAML readers, a word to others: write true or false, or quote it"),
        ("Off", "a switch to some YAML readers, a word to others: write true or false, or quote it"),
        ("n", "a switch to some YAML readers, a word to others: write true or false, or quote it"),
        ("012", "octal to some YAML readers: write it without the leading 0, or quote it"),
        ("0o17", "octal to some YAML readers: write it without the leading 0, or quote it"),
        ("0x1F", "not decimal: write a decimal number, or quote it"),
        ("0b11", "not decimal: write a decimal number, or quote it"),
        ("1_000", "digits with underscores: write them without, or quote it"),
        (
            "1:30",
            "a number to base 60 to some YAML readers: write a duration with its unit, such as 90s, or quote it",
        ),
        (
            "1:30:15.5",
            "a number to base 60 to some YAML readers: write a duration with its unit, such as 90s, or quote it",
        ),
        ("2026-11-21", "a date to some YAML readers: quote it"),
        ("2026-11-21T10:00:00Z", "a date to some YAML readers: quote it"),
        (".inf", "not a finite number"),
        ("-.Inf", "not a finite number"),
        (".nan", "not a finite number"),
    ],
)
def test_what_yaml_readers_disagree_on_is_a_problem(text, why):
    document = parse(f"a:\n  b: {text}".encode(), "f.yaml")
    assert list(map(str, document.problems.values())) == [f"f.yaml:2:6 a.b: {text} — {why}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: 1\nb: 2\na: 3", "3:1 a: given twice — first in line 1", id="the same key twice"),
        pytest.param(
            "on: 1",
            "1:1 on: on — a switch to some YAML readers, a word to others: write true or false, or quote it",
            id="a key that some read as true",
        ),
        pytest.param("5: 1", "1:1 5: 5 as a key — keys are names; quote it if it is meant", id="a number as a key"),
        pytest.param("[1]: 1", "1:1 ?: a list or mapping as a key — keys are names", id="a list as a key"),
        pytest.param('a: "\\ud800"', "1:4 a: half of a surrogate pair — text is Unicode", id="half a character"),
    ],
)
def test_keys_and_text(text, problem):
    assert list(map(str, parse(text.encode(), "f").problems.values())) == [f"f:{problem}"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "f.yaml:1:1: empty — a mapping with apiVersion, kind, metadata and spec", id="empty"),
        pytest.param(
            b"- 1", "f.yaml:1:1: not a mapping — a mapping with apiVersion, kind, metadata and spec", id="a list"
        ),
        pytest.param(b"a: 1\n---\nb: 2", "f.yaml:2:1: a second document begins — one document a file", id="documents"),
        pytest.param(b"a: [1", "f.yaml:1:6: not YAML: expected ',' or ']', but got '<stream end>'", id="open bracket"),
        pytest.param(
            b"a:\n\tb: 1",
            "f.yaml:2:1: not YAML: found character '\\t' that cannot start any token (indent with spaces)",
            id="tab",
        ),
        pytest.param(b"a: *b", "f.yaml:1:4: not YAML: found undefined alias 'b'", id="unknown alias"),
        pytest.param(
            b"a: !!python/object:os.system 1",
            "f.yaml:1:4: the tag tag:yaml.org,2002:python/object:os.system is not allowed",
            id="tag",
        ),
        pytest.param(b"a: \xff", "f.yaml: not UTF-8 text (byte 3)", id="other encoding"),
        pytest.param(b"a: 1\nb: \x00", "f.yaml:2:4: not YAML: the character U+0000 is not allowed", id="control"),
        pytest.param(b"<<: 1", "f.yaml:1:5 <<: not a mapping — an alias of a mapping", id="merge of a number"),
        pytest.param(b"a" * (MAX_BYTES + 1), "f.yaml: larger than 1000000 bytes, the most that is read", id="large"),
        pytest.param(
            b"a: " + b"[" * MAX_DEPTH,
            f"f.yaml:1:{MAX_DEPTH + 3}: nested deeper than {MAX_DEPTH} levels",
            id="deep",
        ),
        pytest.param(
            b"a: &a [*a]", "f.yaml:1:4: more than 20000 values or 40 levels, aliases expanded", id="endless alias"
        ),
        pytest.param(
            b"a: &a {<<: *a}",
            "f.yaml:1:4: more than 20000 values or 40 levels, aliases expanded",
            id="endless merge",
        ),
        pytest.param(
            b"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + b"".join(b"%c: &%c [%s]\n" % (n, n, b", ".join([b"*%c" % (n - 1)] * 10)) for n in range(98, 106)),
            "f.yaml:1:32: more than 20000 values or 40 levels, aliases expanded",
            id="a billion laughs",
        ),
    ],
)
def test_what_is_no_document_at_all(content, problem):
    with pytest.raises(InvalidInput) as caught:
        parse(content, "f.yaml")
    assert caught.value.problems == (problem,)


def test_aliases_and_merges_are_expanded_and_own_keys_rule():
    document = parse(b"base: &base {a: 1, b: 2}\nsame: *base\nown: {<<: *base, b: 3}\ntwo: {<<: [*base, {c: 4}]}", "f")
    assert document.data == {"base": {"a": 1, "b": 2}, "same": {"a": 1, "b": 2}, "own": {"a": 1, "b": 3},
                             "two": {"a": 1, "b": 2, "c": 4}}  # fmt: skip
    assert not document.problems


def test_every_key_and_value_has_its_place():
    document = parse(b"a:\n  - b: 1\n  - {c: two}\n", "f")
    assert document.keys[("a", 1, "c")] == Place(3, 6)
    assert document.values[("a", 1, "c")] == Place(3, 9)
    assert document.values[("a", 0)] == Place(2, 5)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("absent.yaml", "No such file or directory"), ("", "Is a directory"), ("a\0b", "embedded null byte")],
)
def test_a_file_that_cannot_be_read(tmp_path, name, reason):
    with pytest.raises(InvalidInput) as caught:
        load_file(tmp_path / name)
    assert caught.value.problems == (f"{tmp_path / name}: cannot be read: {reason}",)


MARKS = ["- ", ": ", ", ", "[", "]", "{", "}", "'", '"', "|", ">", "#", "? ", "&a ", "*a", "!!int ", "<<", "---", "..."]
WORDS = [
    "a",
    "\n",
    "  ",
    "\t",
    "%YAML 1.1",
    "\\U0010FFFF",
    "\\UFFFFFFFF",
    "1:30",
    "yes",
    "~",
    "é",
    "\u2028",
    "kind",
    "spec",
]
TEXTS = st.lists(st.sampled_from(MARKS + WORDS) | st.text(max_size=3), max_size=25).map("".join)


@given(TEXTS.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=60))
def test_whatever_stands_in_a_file_it_is_read_or_refused(content):
    try:
        data = parse(content, "f").data
    except InvalidInput as error:
        data = dict.fromkeys(error.problems)
    assert isinstance(data, dict)
