"""The rules of the text frontend, one by one."""

import importlib.util
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.engines.emotivoice.errors import InvalidModel
from inference_server.engines.emotivoice.frontend.chinese import UNREADABLE, Chinese
from inference_server.engines.emotivoice.frontend.english import English, load_english, read_cmudict, read_lexicon
from inference_server.engines.emotivoice.frontend.g2p import load_g2p
from inference_server.engines.emotivoice.frontend.numerals import spell_number, spell_numbers
from inference_server.engines.emotivoice.frontend.phonemizer import Phonemizer
from inference_server.engines.emotivoice.frontend.pinyin import syllable_tokens


class TestNumbers:
    @pytest.mark.parametrize(
        ("number", "words"),
        [
            ("0", "零"),
            ("007", "七"),
            ("10", "十"),
            ("12", "十二"),
            ("110", "一百一十"),
            ("1001", "一千零一"),
            ("10010", "一万零一十"),
            ("100000", "十万"),
            ("100000000", "一亿"),
            ("100010000", "一亿零一万"),
            ("1000000000000", "一万亿"),
            ("1234567890123456", "一千二百三十四万五千六百七十八亿九千零一十二万三千四百五十六"),
            ("3.", "三"),
            ("0.50", "零点五零"),
            ("3." + "1" * 20, "三点" + "一" * 16),
            ("012345678901234567.5", "零一二三四五六七八九零一二三四五六七点五"),
            ("1.2.3", "一点二点三"),
            ("１２", "十二"),
            ("١٢٣", "一百二十三"),
        ],
    )
    def test_words(self, number, words):
        assert spell_number(number) == words

    def test_only_numbers_change(self):
        assert spell_numbers("A4纸3.5米，②") == "A四纸三点五米，②"

    @given(st.integers(0, 10**16 - 1))
    def test_can_be_read_back(self, number):
        assert read(spell_number(str(number))) == number

    @given(st.text(st.sampled_from("0123456789."), min_size=1).filter(lambda text: text[0] != "."))
    def test_no_digit_is_left(self, number):
        assert set(spell_number(number)) <= set("零一二三四五六七八九十百千万亿点")


def read(words):
    """The number that Chinese words stand for; 万亿 is a unit of its own."""
    digits, small = "零一二三四五六七八九", {"十": 10, "百": 100, "千": 1000}
    total = group = digit = 0
    for sign in words.replace("万亿", "兆"):
        if sign in small:
            group += (digit or 1) * small[sign]
            digit = 0
        elif sign in digits:
            digit = digits.index(sign)
        else:
            group += digit
            if sign == "亿":
                total, group = (total + group) * 10**8, 0
            else:
                total, group = total + group * {"万": 10**4, "兆": 10**12}[sign], 0
            digit = 0
    return total + group + digit


class TestPinyin:
    @pytest.mark.parametrize(
        ("syllable", "tokens"),
        [
            ("zhuang1", "zh uang1"),
            ("zi5", "z ii5"),
            ("shi4", "sh iii4"),
            ("ya1", "ia1"),
            ("yong3", "iong3"),
            ("yi1", "i1"),
            ("ying2", "ing2"),
            ("yuan2", "van2"),
            ("yun4", "vn4"),
            ("yvan2", "van2"),
            ("yue4", "y ve4"),
            ("yo1", "y o1"),
            ("wu3", "u3"),
            ("weng1", "ueng1"),
            ("ju3", "j v3"),
            ("xuan4", "x van4"),
            ("jue2", "j ve2"),
            ("gui4", "g uei4"),
            ("liu2", "l iou2"),
            ("lun4", "l uen4"),
            ("lve4", "l ve4"),
            ("a5", "a5"),
            ("ng2", "eng2"),
            ("m2", "em2"),
            ("er2", "er2"),
            ("huar1", "h uar1"),
        ],
    )
    def test_initial_and_final(self, syllable, tokens):
        assert syllable_tokens(syllable) == tokens.split()

    @pytest.mark.parametrize("syllable", ["", "hao", "1", "hm5"])
    def test_no_syllable(self, syllable):
        with pytest.raises(ValueError, match="has no"):
            syllable_tokens(syllable)


class TestChinese:
    chinese = Chinese(segment=lambda text: text.replace("|", "\0").split("\0"), read=lambda word: word.split("-"))

    @pytest.mark.parametrize(
        ("words", "tokens"),
        [
            ("ni3-hao3", "n i3 sp0 h ao3 sp1"),
            ("ni3|hao3", "n i3 sp1 h ao3 sp1"),
            ("ni3|，|hao3", "n i3 sp3 h ao3 sp1"),
            ("ni3|，|。|hao3", "n i3 sp3 h ao3 sp1"),
            ("，|ni3", "n i3 sp1"),
            ("ni3| |hao3", "n i3 sp1 h ao3 sp1"),
            ("，", ""),
        ],
    )
    def test_pauses(self, words, tokens):
        assert self.chinese.phonemes(words) == tokens.split()


class TestEnglish:
    english = English(
        lexicon={"hello": "HH L", "don't": "D N", "a": "AH0"},
        dictionary={"hello": "X", "world": "W D", "b": "B"},
        guess=lambda word: [letter.upper() for letter in word],
    )

    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("Hello", "[HH] [L]"),
            ("Hello A", "[HH] [L] engsp1 [AH0]"),
            ("hello, a", "[HH] [L] engsp4 [AH0]"),
            ("hello - a", "[HH] [L] engsp4 [AH0]"),
            ("hello; a + a", "[HH] [L] engsp1 [AH0] engsp1 [AH0]"),
            ("hello\ta", "[HH] [L] engsp1 [AH0]"),
            ("Don't", "[D] [N]"),
            ("world a", "[W] [D] [AH0]"),
            ("world, a", "[W] engsp4 [AH0]"),
            ("(hello) a", "[X] [AH0]"),
            ("xy", "[X] [Y]"),
            ("x'y", "[X] [Y]"),
            ("ÉÀ", "[E] [A]"),
            ("b'' b", "[B] engsp1 [B]"),
            ("b 'b a", "engsp4 [AH0]"),
            ("'hello'", ""),
            (", hello", "[HH] [L]"),
            ("日本", ""),
            ("", ""),
        ],
    )
    def test_tokens(self, text, tokens):
        assert self.english.phonemes(text) == tokens.split()


class TestLexicon:
    def test_the_first_entry_counts(self, tmp_path):
        path = tmp_path / "lexicon.txt"
        path.write_text("Don'T  D OW1 N\nDON'T\tD OW1 N T\n\nA AH0\n")
        assert read_lexicon(path) == {"don't": "D OW1 N", "a": "AH0"}

    @pytest.mark.parametrize(("content", "said"), [(b"A AH0\nB", "line 2: 'B' has no phones"), (b"\xff", "cannot be")])
    def test_other_files(self, content, said, tmp_path):
        path = tmp_path / "lexicon.txt"
        path.write_bytes(content)
        with pytest.raises(InvalidModel, match=said):
            read_lexicon(path)

    def test_of_cmudict_the_alphabetically_first_reading(self):
        words = read_cmudict()
        assert len(words) == 126_052
        assert words["a"] == "AH0"  # listed before EY1
        assert words["don't"] == "D OW1 N"  # listed second
        assert words["aalborg"] == "AA1 L B AO0 R G"  # a place, as its comment says


class TestUnknownWords:
    @pytest.mark.parametrize(
        ("word", "phones"),
        [("kubernetes", "K AH0 B ER1 N AH0 T S"), ("xyzzy", "Z IH1 G Z IY0"), ("asdfgh", "AE1 S D F")],
    )
    def test_guesses_are_g2p_ens(self, word, phones):
        assert load_g2p().phones(word) == tuple(phones.split())

    def test_guesses_end(self):
        assert len(load_g2p().phones("ab" * 500)) <= 20

    def test_the_package_that_fetches_is_never_imported(self):
        program = (
            "import sys; from inference_server.engines.emotivoice.frontend.phonemizer import load_phonemizer; "
            "load_phonemizer(['<sos/eos>', '[K]'], None).phonemes('Kubernetes 你好'); "
            "print([name for name in ('g2p_en', 'nltk', 'torch', 'transformers', 'numba') if name in sys.modules])"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert ran.stdout == "[]\n"

    def test_the_package_is_installed_for_its_weights(self):
        assert importlib.util.find_spec("g2p_en") is not None


class TestPhonemizer:
    def test_ids_are_lines_of_the_list(self, phonemizer, config):
        names = ["<sos/eos>", "n", "i3", "sp0", "h", "ao3", "<sos/eos>"]
        assert phonemizer.phonemes("你好") == names
        assert [config.tokens[token] for token in phonemizer.ids("你好")] == names

    @pytest.mark.parametrize("text", ["", " ", "。", "😊", "呣", "'", "兙", "...", "\n", "㐀"])
    def test_nothing_to_speak(self, text, phonemizer):
        assert phonemizer.phonemes(text) == []

    def test_unknown_tokens_are_left_out(self):
        words = English(lexicon={"a": "AA1", "uw": "UW"}, dictionary={}, guess=list)
        phonemizer = Phonemizer(["<sos/eos>", "[AA1]"], TestChinese.chinese, words)
        assert phonemizer.phonemes("uw a uw") == ["<sos/eos>", "[AA1]", "<sos/eos>"]

    def test_characters_without_a_reading_are_left_out(self, phonemizer):
        assert phonemizer.phonemes(f"你{UNREADABLE}好") == phonemizer.phonemes("你好")

    @given(text=st.text(max_size=40))
    def test_any_text_gives_known_tokens(self, phonemizer, config, text):
        ids = phonemizer.ids(text)
        assert all(0 <= token < len(config.tokens) for token in ids)
        assert ids == [] or (ids[0] == ids[-1] == 1 and len(ids) > 2)

    @given(text=st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), max_size=30))
    def test_any_chinese_is_read(self, phonemizer, text):
        spoken = [character for character in text if character not in UNREADABLE + "呣"]
        assert bool(phonemizer.ids(text)) == bool(spoken)


def test_a_lexicon_file_goes_before_cmudict(tmp_path):
    path = tmp_path / "librispeech-lexicon.txt"
    path.write_text("CONNECTED  K AH0 N EH1 K T AH0 D\n")
    english = load_english(path)
    assert english.phonemes("Connected world") == [
        *("[K]", "[AH0]", "[N]", "[EH1]", "[K]", "[T]", "[AH0]", "[D]", "engsp1"),
        *("[W]", "[ER1]", "[L]", "[D]"),
    ]
