"""The style encoder: one vector for a text, from BERT's pooler.

The same network reads the prompt (how to speak) and the text itself (what is said). Parameter names are those of the
published checkpoint after its `module.bert.` prefix; the heads beside the BERT have no part in the vector.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor, nn

from inference_server.engines.emotivoice.config import BertSizes
from inference_server.engines.emotivoice.errors import InvalidModel
from inference_server.engines.emotivoice.layers import attend, length_mask, table

_SPECIAL = ("[CLS]", "[SEP]", "[UNK]")


class WordPieces:
    """BERT's WordPiece: lower case, accents stripped, every Chinese character a piece of its own."""

    def __init__(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidModel(path, [f"cannot be read: {error}"]) from error
        vocabulary = {line: index for index, line in enumerate(lines)}
        missing = [f"has no {token}" for token in _SPECIAL if token not in vocabulary]
        if missing:
            raise InvalidModel(path, missing)
        self.size = len(lines)
        self._start, self._end = vocabulary["[CLS]"], vocabulary["[SEP]"]
        self._tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106 - a token of text
        self._tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
        self._tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def count(self, text: str) -> int:
        """Pieces of a text, without the marks around it."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def ids(self, text: str, most: int) -> list[int]:
        """Piece ids with the marks around them; pieces past `most` ids in all are cut off."""
        pieces = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [self._start, *pieces[: most - 2], self._end]


class StyleEncoder(nn.Module):
    """BERT up to its pooler."""

    def __init__(self, sizes: BertSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embeddings = _Embeddings(sizes)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(sizes) for _ in range(sizes.layers))})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(sizes.width, sizes.width)})

    def forward(self, ids: Tensor, lengths: Tensor | None) -> Tensor:
        """Makes vectors.

        Args:
            ids: piece ids `(B, N)`, N at most the positions the model has; anything past a row's length.
            lengths: pieces per row, `(B)`; `None` when every row has N.

        Returns:
            `(B, width)`.
        """
        mask = None if lengths is None else length_mask(lengths, ids.shape[1])
        x = self.embeddings(ids)
        for layer in cast("nn.ModuleList", self.encoder["layer"]):
            x = layer(x, mask)
        pooled: Tensor = self.pooler["dense"](x[:, 0]).tanh()
        return pooled

    def encode(self, rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
        """Vectors of several texts' piece ids in one padded batch, `(B, width)`."""
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *([0] * (longest - len(row)))] for row in rows], device=device)
        uneven = any(len(row) != longest for row in rows)
        vectors: Tensor = self(ids, torch.tensor([len(row) for row in rows], device=device) if uneven else None)
        return vectors


class _Embeddings(nn.Module):
    def __init__(self, sizes: BertSizes) -> None:
        super().__init__()
        self.word_embeddings = table(sizes.vocabulary, sizes.width)
        self.position_embeddings = table(sizes.positions, sizes.width)
        self.token_type_embeddings = table(sizes.types, sizes.width)
        self.LayerNorm = nn.LayerNorm(sizes.width, eps=sizes.norm_epsilon)

    def forward(self, ids: Tensor) -> Tensor:
        """`(B, N)` to `(B, N, width)`; every piece has type 0."""
        positions = self.position_embeddings.weight[: ids.shape[1]]
        embedded: Tensor = self.LayerNorm(self.word_embeddings(ids) + self.token_type_embeddings.weight[0] + positions)
        return embedded


class _Layer(nn.Module):
    """One post-norm transformer layer."""

    def __init__(self, sizes: BertSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        projections = {name: nn.Linear(sizes.width, sizes.width) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(projections), "output": _Output(sizes.width, sizes)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(sizes.width, sizes.feed_forward_width)})
        self.output = _Output(sizes.feed_forward_width, sizes)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Shape stays `(B, N, width)`."""
        project = cast("nn.ModuleDict", self.attention["self"])
        mixed = attend(project["query"](x), project["key"](x), project["value"](x), self.heads, mask)
        x = self.attention["output"](mixed, x)
        widened: Tensor = self.output(nn.functional.gelu(self.intermediate["dense"](x)), x)
        return widened


class _Output(nn.Module):
    def __init__(self, width: int, sizes: BertSizes) -> None:
        super().__init__()
        self.dense = nn.Linear(width, sizes.width)
        self.LayerNorm = nn.LayerNorm(sizes.width, eps=sizes.norm_epsilon)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dense(x) + residual)
        return normed
