"""Text vectors with a memory: prompts repeat, and so do announcements."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import torch
from torch import Tensor

from inference_server.engines.emotivoice.batching import Padding, length_groups
from inference_server.engines.emotivoice.style import StyleEncoder, WordPieces


class TextVectors:
    """The style encoder's vectors by text; the least recently used are forgotten. Safe to use from several threads.

    Args:
        encoder: the network, in evaluation mode.
        pieces: its tokeniser.
        device: where the network is.
        padding: which texts are encoded together.
        capacity: vectors kept, about 3 KB each at full size; 0 keeps none.
    """

    def __init__(
        self, encoder: StyleEncoder, pieces: WordPieces, device: torch.device, padding: Padding, capacity: int
    ) -> None:
        self._encoder = encoder
        self._pieces = pieces
        self._device = device
        self._padding = padding
        self._capacity = capacity
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, texts: Sequence[str]) -> Tensor:
        """Vectors `(len(texts), width)` in order; each text that is not remembered is encoded once."""
        distinct = list(dict.fromkeys(texts))
        with self._lock:
            known = {text: self._kept[text] for text in distinct if text in self._kept}
        known |= self._encode([text for text in distinct if text not in known])
        with self._lock:
            self._remember({text: known[text] for text in distinct})
        return torch.stack([known[text] for text in texts])

    def _encode(self, texts: Sequence[str]) -> dict[str, Tensor]:
        most = self._encoder.sizes.positions
        rows = [self._pieces.ids(text, most) for text in texts]
        encoded: dict[str, Tensor] = {}
        for group in length_groups([len(row) for row in rows], self._padding.pieces, self._padding.most):
            vectors = self._encoder.encode([rows[index] for index in group], self._device)
            encoded |= {texts[index]: vector for index, vector in zip(group, vectors, strict=True)}
        return encoded

    def _remember(self, vectors: dict[str, Tensor]) -> None:
        for text, vector in vectors.items():
            self._kept[text] = vector
            self._kept.move_to_end(text)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
