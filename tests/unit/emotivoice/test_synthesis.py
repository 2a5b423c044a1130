"""What a server asks of the engine."""

import itertools
import math
import threading

import numpy as np
import pytest
import torch

from inference_server.engines.emotivoice import errors
from inference_server.engines.emotivoice.networks import Networks
from inference_server.engines.emotivoice.style import WordPieces
from inference_server.engines.emotivoice.synthesis import Limits, Synthesizer, load

TEXT = "你好，世界。Hello world! 今天天气真不错，我们去公园走走。"


def make(synthesizer_parts, **limits):
    config, networks, phonemizer, directory = synthesizer_parts
    return Synthesizer(config, networks, phonemizer, WordPieces(directory.vocabulary), limits=Limits(**limits))


@pytest.fixture(scope="module")
def parts(config, networks, phonemizer, directory):
    return config, networks, phonemizer, directory


def assert_same_sound(got, want):
    assert got.dtype == want.dtype == np.int16
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want.astype(int)).max() <= 2


class TestPlan:
    def test_one_piece_a_sentence(self, synthesizer):
        pieces = synthesizer.plan(TEXT, "8051", "开心", 1.5)
        assert [piece.text for piece in pieces] == ["你好，世界。", "Hello world! ", "今天天气真不错，我们去公园走走。"]
        assert {(piece.voice.name, piece.prompt, piece.speed) for piece in pieces} == {("8051", "开心", 1.5)}
        assert all(piece.ids[0] == piece.ids[-1] == 1 for piece in pieces)
        assert [piece.cost for piece in pieces] == [len(piece.ids) for piece in pieces]

    def test_pieces_without_anything_to_speak_are_left_out(self, synthesizer):
        assert [piece.text for piece in synthesizer.plan("！！！你好。😊。\n\n再见。", "8051")] == ["你好。", "再见。"]

    def test_pieces_fit_the_positions_of_the_style_encoder(self, synthesizer, directory):
        pieces = synthesizer.plan("今天天气真不错我们去公园走走" * 20, "8051")
        count = WordPieces(directory.vocabulary).count
        assert len(pieces) > 1
        assert all(count(piece.text) <= 62 for piece in pieces)

    def test_slow_speech_is_cut_finer(self, synthesizer):
        text = "今天天气真不错，" * 12
        assert len(synthesizer.plan(text, "8051", speed=0.25)) > len(synthesizer.plan(text, "8051"))

    def test_a_long_unknown_word_is_not_one_piece(self, synthesizer):
        assert len(synthesizer.plan("ab" * 400, "8051")) > 3

    def test_lone_surrogates_are_dropped(self, synthesizer):
        (piece,) = synthesizer.plan("你\ud800好", "8051", "开\udfff心")
        assert (piece.text, piece.prompt) == ("你好", "开心")

    @pytest.mark.parametrize("text", ["", " \n", "。。。", "😊👍", "'", "‎"])
    def test_nothing_to_speak(self, synthesizer, text):
        with pytest.raises(errors.NothingToSpeak):
            synthesizer.plan(text, "8051")

    @pytest.mark.parametrize("voice", ["", "nobody", "8051 ", "x" * 10_000])
    def test_unknown_voice(self, synthesizer, voice):
        with pytest.raises(errors.UnknownVoice, match="the model has 2014 voices, for example 8051, ") as caught:
            synthesizer.plan("你好", voice)
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize("speed", [0, -1, 0.24, 4.01, math.inf, math.nan])
    def test_speed_out_of_range(self, synthesizer, speed):
        with pytest.raises(errors.InvalidSpeed, match=r"allowed: 0\.25 to 4"):
            synthesizer.plan("你好", "8051", speed=speed)

    def test_text_and_prompt_have_limits(self, parts):
        bounded = make(parts, characters=10, prompt_characters=5)
        bounded.plan("好" * 10, "8051", "好" * 5)
        with pytest.raises(errors.TextTooLong, match="the text has 11 characters; at most 10 are allowed"):
            bounded.plan("好" * 11, "8051")
        with pytest.raises(errors.TextTooLong, match="the prompt has 6 characters"):
            bounded.plan("好", "8051", "好" * 6)

    def test_every_refusal_is_of_one_family(self):
        refusals = (
            errors.UnknownVoice,
            errors.NothingToSpeak,
            errors.TextTooLong,
            errors.InvalidSpeed,
            errors.InvalidReferenceAudio,
            errors.CloningUnavailable,
            errors.AudioTooLong,
        )
        assert all(issubclass(refusal, errors.RequestRefused) for refusal in refusals)


class TestRender:
    def test_a_batch_equals_its_pieces(self, synthesizer):
        pieces = [
            *synthesizer.plan(TEXT, "8051", "开心"),
            *synthesizer.plan("好", "11614", "", 2.0),
            *synthesizer.plan("The quick brown fox jumps over the lazy dog.", "9017", "悲伤", 0.5),
        ]
        together = synthesizer.render(pieces)
        for piece, sound in zip(pieces, together, strict=True):
            assert_same_sound(sound, synthesizer.render([piece])[0])
        lengths = [len(sound) for sound in together]
        assert all(length % 256 == 0 for length in lengths)
        assert len(set(lengths)) > 3

    def test_a_padded_vocoder_batch_equals_its_pieces(self, synthesizer, networks, parts, monkeypatch):
        """As accelerators render: all pieces in one padded batch, through every network."""
        from inference_server.engines.emotivoice import synthesis
        from inference_server.engines.emotivoice.batching import Padding

        generous = Padding(pieces=999, tokens=999, frames=999, vocoder_frames=999, most=99_999)
        monkeypatch.setattr(synthesis, "padding_for", lambda _: generous)
        monkeypatch.setattr(
            synthesis,
            "_vocoder_for",
            lambda networks, padding: lambda mels: synthesis._waves_in_batches(networks.vocoder, mels, padding),
        )
        batching = make(parts)
        pieces = batching.plan(TEXT + "好。", "8051", "开心")
        for sound, alone in zip(
            batching.render(pieces), map(synthesizer.render, ([piece] for piece in pieces)), strict=True
        ):
            assert_same_sound(sound, alone[0])

    def test_nothing(self, synthesizer):
        assert synthesizer.render([]) == []

    def test_prompt_voice_and_speed_are_heard(self, synthesizer):
        sounds = [
            synthesizer.synthesize("你好，世界。", voice, prompt, speed)
            for voice, prompt, speed in (
                ("8051", "", 1.0),
                ("11614", "", 1.0),
                ("8051", "开心", 1.0),
                ("8051", "", 2.0),
            )
        ]
        for one, other in itertools.combinations(sounds, 2):
            assert one.shape != other.shape or (one != other).any()

    def test_speed_shortens(self, synthesizer):
        slow, normal, fast = (
            len(synthesizer.synthesize("今天天气真不错。", "8051", speed=speed)) for speed in (0.5, 1.0, 2.0)
        )
        assert slow > normal > fast

    def test_the_whole_is_the_pieces_joined(self, synthesizer):
        whole = synthesizer.synthesize(TEXT, "8051")
        joined = np.concatenate(list(synthesizer.stream(TEXT, "8051")))
        assert_same_sound(whole, joined)

    def test_frames_have_a_limit(self, parts):
        with pytest.raises(errors.AudioTooLong, match=r"would become \d+ frames; allowed: 5"):
            make(parts, frames=5).synthesize("今天天气真不错。", "8051")

    def test_broken_weights_are_refused_not_run(self, parts):
        config, networks, phonemizer, directory = parts
        broken = Synthesizer(config, networks, phonemizer, WordPieces(directory.vocabulary))
        (piece,) = broken.plan("你好", "8051")
        vector = torch.full_like(piece.voice.vector, math.nan)
        with pytest.raises(errors.AudioTooLong, match="nan frames"):
            broken.synthesize("你好", type(piece.voice)("broken", vector))


class TestStream:
    def test_the_first_sound_comes_before_the_last_is_computed(self, parts, monkeypatch):
        streaming = make(parts)
        rendered = []
        render = streaming.render
        monkeypatch.setattr(streaming, "render", lambda pieces: rendered.append(pieces) or render(pieces))
        sounds = streaming.stream("你好。再见。谢谢。", "8051")
        assert rendered == []
        assert len(next(sounds)) > 0
        assert len(rendered) == 1
        assert len(list(sounds)) == 2
        assert [len(pieces) for pieces in rendered] == [1, 1, 1]

    def test_refusals_come_at_once(self, synthesizer):
        with pytest.raises(errors.NothingToSpeak):
            synthesizer.stream("。", "8051")


class TestSeveralThreads:
    def test_planning_and_rendering_at_once(self, synthesizer):
        want = synthesizer.synthesize(TEXT, "8051")
        sounds = [None] * 6

        def run(index):
            sounds[index] = synthesizer.synthesize(TEXT, "8051")

        threads = [threading.Thread(target=run, args=(index,)) for index in range(len(sounds))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for sound in sounds:
            assert_same_sound(sound, want)


class TestLoad:
    def test_reports_its_phases_and_is_ready(self, model_root):
        phases = []

        class Phase:
            def __init__(self, name):
                self.name = name

            def __enter__(self):
                phases.append(f"+{self.name}")

            def __exit__(self, *_):
                phases.append(f"-{self.name}")

        loaded = load(model_root, phase=Phase)
        assert phases == ["+weights", "-weights", "+frontend", "-frontend", "+warm_up", "-warm_up"]
        assert loaded.sample_rate_hz == 16_000
        assert loaded.device == torch.device("cpu")
        assert len(loaded.voices) == 2014
        assert not loaded.can_clone

    def test_other_directories(self, tmp_path):
        with pytest.raises(errors.InvalidModel, match="missing file"):
            load(tmp_path)


def test_networks_are_on_one_device(networks: Networks):
    modules = (networks.style, networks.acoustic, networks.vocoder)
    devices = {parameter.device for module in modules for parameter in module.parameters()}
    assert devices == {networks.device}
