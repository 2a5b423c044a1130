"""Where a long text is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.engines.emotivoice.frontend.sentences import split_text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("你好。再见！", ["你好。", "再见！"]),
        ("真的吗？！好。", ["真的吗？！", "好。"]),
        ("他说：“走吧。”我们走了。", ["他说：“走吧。”", "我们走了。"]),
        ("Hello world. How are you? Fine!", ["Hello world. ", "How are you? ", "Fine!"]),
        ("Wait... what", ["Wait... ", "what"]),
        ("Pi is 3.14 and e 2.72. Good.", ["Pi is 3.14 and e 2.72. ", "Good."]),
        ("See example.com now. Bye", ["See example.com now. ", "Bye"]),
        ("Dr. Wang met Mr. Li. They left.", ["Dr. Wang met Mr. Li. ", "They left."]),
        ("J. R. Smith spoke. All heard, e.g. Ann.", ["J. R. Smith spoke. ", "All heard, e.g. Ann."]),
        ("一行\n二行\n\n三行", ["一行\n", "二行\n\n", "三行"]),
        ("没有标点", ["没有标点"]),
        ("", []),
    ],
)
def test_at_sentence_marks(text, pieces):
    assert split_text(text, len, 100) == pieces


@pytest.mark.parametrize(
    ("text", "most", "pieces"),
    [
        ("一二三，四五，六七八。", 6, ["一二三，", "四五，", "六七八。"]),
        ("一二三，四五，六七八。", 7, ["一二三，四五，", "六七八。"]),
        ("one two, three four", 12, ["one two, ", "three four"]),
        ("1,000 and 10:30", 7, ["1,000 ", "and ", "10:30"]),
        ("one two three", 8, ["one two ", "three"]),
        ("一二三四五六七", 3, ["一二三", "四五六", "七"]),
    ],
)
def test_where_a_piece_would_grow_too_large(text, most, pieces):
    assert split_text(text, len, most) == pieces


@given(st.text(st.sampled_from("ab 。，.,!\n一“”"), max_size=200), st.integers(1, 30))
def test_pieces_are_the_text_and_fit(text, most):
    pieces = split_text(text, len, most)
    assert "".join(pieces) == text
    assert all(len(piece) <= most for piece in pieces)
    assert text == "" or all(pieces)


@given(st.text(max_size=60), st.integers(1, 10))
def test_a_size_that_jumps_is_respected(text, most):
    """Like BERT's: a word of more than 100 letters is one unknown piece, one of 100 may be many."""

    def size(part):
        return 1 if len(part) > 20 else len(part)

    pieces = split_text(text, size, most)
    assert "".join(pieces) == text
    assert all(size(piece) <= most for piece in pieces)
