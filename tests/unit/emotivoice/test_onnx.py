"""ONNX: the exported networks are the networks; a speaker encoder in the model directory makes voices."""

import shutil

import numpy as np
import pytest

from inference_server.engines.emotivoice import errors
from inference_server.engines.emotivoice.onnx_export import main
from inference_server.engines.emotivoice.synthesis import load

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def sessions(model_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "new"
    assert main([str(model_root), str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["acoustic.onnx", "vocoder.onnx"]
    return tuple(onnxruntime.InferenceSession(str(folder / f"{name}.onnx")) for name in ("acoustic", "vocoder"))


class TestExport:
    @pytest.mark.parametrize("name", ["tok001", "tok003", "tok023_zh", "tok037_en", "tok120"])
    def test_equals_the_reference_cases(self, name, sessions, data_root):
        acoustic, vocoder = sessions
        with np.load(data_root / "cases" / f"{name}.npz") as case:
            inputs = {
                "ids": case["ids"][None],
                "voice": case["speaker"].astype(np.int64)[None],
                "style": case["style"][None],
                "content": case["content"][None],
                "speed": np.ones(1, np.float32),
            }
            (mel,) = acoustic.run(None, inputs)
            (wave,) = vocoder.run(None, {"mel": mel})
            for got, want in ((mel[0], case["mel"]), (wave[0], case["wav"])):
                assert got.shape == want.shape
                assert np.abs(got - want).max() <= 2e-5 * np.abs(want).max()

    def test_other_directories(self, tmp_path, capsys):
        assert main([str(tmp_path), str(tmp_path / "out")]) == 1
        assert "missing file" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def speaker_encoder(path, width, inputs=1):
    """Loudness times one: the same number in every place of a voice vector."""
    tensor, helper = onnx.TensorProto.FLOAT, onnx.helper
    names = [f"samples{index or ''}" for index in range(inputs)]
    nodes = [
        helper.make_node("ReduceL2", [names[0], "axes"], ["loudness"], keepdims=1),
        helper.make_node("Expand", ["loudness", "shape"], ["voice"]),
    ]
    graph = helper.make_graph(
        nodes,
        "test encoder",
        [helper.make_tensor_value_info(name, tensor, [1, "length"]) for name in names],
        [helper.make_tensor_value_info("voice", tensor, [1, width])],
        [
            helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1]),
            helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [1, width]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def sine(seconds, loudness=0.5):
    return (loudness * np.sin(np.arange(int(seconds * RATE_HZ)) * 0.1)).astype(np.float32)


@pytest.fixture(scope="module")
def cloning(model_root, tmp_path_factory):
    root = shutil.copytree(model_root, tmp_path_factory.mktemp("cloning") / "model")
    speaker_encoder(root / "speaker_encoder.onnx", width=24)
    return load(root)


class TestCloning:
    def test_a_voice_from_reference_audio_speaks(self, cloning):
        assert cloning.can_clone
        voice = cloning.clone(sine(3))
        assert voice.vector.tolist() == pytest.approx([float(np.linalg.norm(sine(3)))] * 24, rel=1e-5)
        sound = cloning.synthesize("你好，世界。", voice, "开心")
        assert len(sound) > 0
        assert sound.tolist() != cloning.synthesize("你好，世界。", cloning.clone(sine(10, 0.1)), "开心").tolist()

    def test_cloned_and_own_voices_share_a_batch(self, cloning):
        pieces = [*cloning.plan("你好。", cloning.clone(sine(4))), *cloning.plan("你好。", "8051")]
        for sound, piece in zip(cloning.render(pieces), pieces, strict=True):
            alone = cloning.render([piece])[0]
            assert np.abs(sound.astype(int) - alone.astype(int)).max() <= 2

    @pytest.mark.parametrize(
        ("samples", "said"),
        [
            (sine(2.9), "lasts 2.90 s; allowed: 3 to 10 s"),
            (sine(10.1), "lasts 10.10 s"),
            (sine(0), "lasts 0.00 s"),
            (np.zeros(4 * RATE_HZ, np.float32), "silent"),
            (np.full(4 * RATE_HZ, np.nan, np.float32), "no numbers"),
            (np.stack([sine(4), sine(4)]), "must be mono"),
        ],
        ids=["short", "long", "empty", "silent", "NaN", "stereo"],
    )
    def test_audio_no_voice_can_be_made_from(self, cloning, samples, said):
        with pytest.raises(errors.InvalidReferenceAudio, match=said):
            cloning.clone(samples)

    def test_without_an_encoder_the_answer_says_so(self, synthesizer):
        with pytest.raises(errors.CloningUnavailable, match=r"holds no speaker_encoder\.onnx"):
            synthesizer.clone(sine(4))

    @pytest.mark.parametrize(
        ("write", "said"),
        [
            (lambda path: path.write_bytes(b"no model"), "cannot be loaded"),
            (lambda path: speaker_encoder(path, width=23), "makes vectors of 23 numbers; the model's have 24"),
            (lambda path: speaker_encoder(path, width=24, inputs=2), "has 2 inputs and 1 outputs"),
        ],
        ids=["bytes", "width", "inputs"],
    )
    def test_encoders_that_do_not_fit(self, write, said, model_root, tmp_path):
        root = shutil.copytree(model_root, tmp_path / "model")
        write(root / "speaker_encoder.onnx")
        with pytest.raises(errors.InvalidModel, match=said):
            load(root)
