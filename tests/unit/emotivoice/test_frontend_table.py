"""Every row of upstream's recorded frontend output, with CMUdict as the lexicon (the table's README)."""

import csv
import json
from pathlib import Path

import pytest

TABLE = Path(__file__).parents[2] / "data" / "emotivoice" / "frontend" / "table.tsv"


def rows():
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


ROWS = rows()


def test_the_table_is_whole():
    assert len(ROWS) == 383


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_phonemes(row, phonemizer):
    want = [] if row["phonemes_cmudict"] == "empty" else row["phonemes_cmudict"].split()
    assert phonemizer.phonemes(json.loads(row["text_json"])) == want


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row["status"] == "ok" and row["lexicon"] == "-"], ids=lambda row: row["id"]
)
def test_without_english_no_lexicon_matters(row, phonemizer):
    assert phonemizer.phonemes(json.loads(row["text_json"])) == row["phonemes"].split()
