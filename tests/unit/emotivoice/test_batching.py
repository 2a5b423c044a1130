"""Which rows share a call, and what a memory of vectors remembers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inference_server.engines.emotivoice.batching import Padding, length_groups, padded, padding_for
from inference_server.engines.emotivoice.style import WordPieces
from inference_server.engines.emotivoice.vectors import TextVectors


@pytest.mark.parametrize(
    ("lengths", "padding", "most", "groups"),
    [
        ([], 10, 100, []),
        ([5], 0, 1, [[0]]),
        ([5, 5, 5], 0, 100, [[0, 1, 2]]),
        ([5, 4, 5], 0, 100, [[0, 2], [1]]),
        ([1, 9, 3], 6, 100, [[1, 2], [0]]),
        ([9, 9, 9], 0, 18, [[0, 1], [2]]),
        ([200, 9], 500, 100, [[0], [1]]),
    ],
)
def test_groups(lengths, padding, most, groups):
    assert length_groups(lengths, padding, most) == groups


@given(st.lists(st.integers(1, 300), max_size=40), st.integers(0, 50), st.integers(1, 2000))
def test_groups_hold_every_row_once_within_bounds(lengths, padding, most):
    groups = length_groups(lengths, padding, most)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[index] for index in group)
        assert all(longest - lengths[index] <= padding for index in group)
        assert len(group) == 1 or longest * len(group) <= most


def test_padded_rows():
    batch, lengths = padded([torch.tensor([1, 2, 3]), torch.tensor([4])])
    assert batch.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert lengths.tolist() == [3, 1]


def test_equal_rows_need_no_lengths():
    assert padded([torch.ones(2, 5), torch.ones(2, 5)])[1] is None


def test_cpus_pad_less():
    assert padding_for(torch.device("cpu")).frames < padding_for(torch.device("cuda")).frames


class TestTextVectors:
    @pytest.fixture
    def make(self, networks, directory, monkeypatch):
        encoded = []
        original = networks.style.encode

        def encode(rows, device):
            encoded.append(len(rows))
            return original(rows, device)

        monkeypatch.setattr(networks.style, "encode", encode)

        def make(capacity, padding=60):
            limits = Padding(pieces=padding, tokens=0, frames=0, vocoder_frames=0, most=1000)
            vectors = TextVectors(
                networks.style, WordPieces(directory.vocabulary), torch.device("cpu"), limits, capacity
            )
            return vectors, encoded

        with torch.inference_mode():
            yield make

    def test_each_text_is_encoded_once_and_together(self, make):
        vectors, encoded = make(capacity=10)
        first = vectors.of(["开心", "悲伤", "开心"])
        assert encoded == [2]
        assert torch.equal(first[0], first[2])
        assert not torch.equal(first[0], first[1])
        again = vectors.of(["悲伤", "开心"])
        assert encoded == [2]
        assert torch.equal(again, first[[1, 0]])

    def test_the_least_recently_used_is_forgotten(self, make):
        vectors, encoded = make(capacity=2)
        vectors.of(["一", "二"])
        vectors.of(["一"])
        vectors.of(["三"])
        assert len(vectors) == 2
        vectors.of(["一", "三"])
        assert encoded == [2, 1]
        vectors.of(["二"])
        assert encoded == [2, 1, 1]

    def test_more_texts_than_it_keeps(self, make):
        vectors, _ = make(capacity=1)
        assert vectors.of(["一", "二", "三"]).shape == (3, 32)
        assert len(vectors) == 1

    def test_without_memory(self, make):
        vectors, encoded = make(capacity=0)
        vectors.of(["一"])
        vectors.of(["一"])
        assert encoded == [1, 1]

    def test_long_and_short_texts_are_encoded_apart(self, make):
        vectors, encoded = make(capacity=5, padding=3)
        vectors.of(["开心", "今天天气真不错，我来到了北京", "悲伤"])
        assert sorted(encoded) == [1, 2]

    def test_texts_beyond_the_positions_are_cut(self, make):
        vectors, _ = make(capacity=5)
        long = vectors.of(["开心" * 100, "开心" * 31])
        torch.testing.assert_close(long[0], long[1])
