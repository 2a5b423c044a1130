"""What a checkpoint must hold, and what is said when it does not."""

import json
from pathlib import Path

import pytest
import torch

from inference_server.engines.emotivoice import checkpoint
from inference_server.engines.emotivoice.config import (
    AcousticSizes,
    BertSizes,
    ModelConfig,
    PredictorSizes,
    StackSizes,
    VocoderSizes,
)
from inference_server.engines.emotivoice.errors import InvalidModel
from inference_server.engines.emotivoice.networks import joint_networks, style_encoder

META = torch.device("meta")
FILE = Path("g_00140000")
NO_FILE = Path("no-such-file")

# Sizes of the published model: config/joint/config.yaml and the BERT-base layout.
_STACK = StackSizes(layers=4, heads=8, kernel=3)
FULL_SIZE = ModelConfig(
    tokens=tuple(f"token {index}" for index in range(502)),
    voices=tuple(str(index) for index in range(2014)),
    bert=BertSizes(13685, 768, 12, 12, 3072, 512, 2, 1e-12),
    acoustic=AcousticSizes(
        tokens=502,
        voices=2014,
        width=384,
        style_width=768,
        mel=80,
        encoder=_STACK,
        decoder=_STACK,
        duration=PredictorSizes(384, 2, 3),
        pitch=PredictorSizes(384, 3, 3),
        energy=PredictorSizes(384, 2, 3),
        variance_kernel=9,
    ),
    vocoder=VocoderSizes(80, 512, (8, 8, 2, 2), (16, 16, 4, 4), (3, 7, 11), ((1, 3, 5),) * 3),
)


@pytest.fixture(scope="module")
def published(data_root):
    """Names and shapes of the published checkpoints as tensors without storage: (joint, style)."""
    parameters = json.loads((data_root / "parameters.json").read_text(encoding="utf-8"))
    return tuple(
        {name: torch.empty(shape, device=META) for name, shape in parameters[key]["shapes"].items()}
        for key in ("joint_checkpoint", "style_checkpoint")
    )


@pytest.fixture(scope="module")
def tiny(directory):
    return checkpoint.read_tensors(directory.joint_checkpoint, "generator")


def values(module):
    return sum(parameter.numel() for parameter in module.parameters())


class TestFullSize:
    def test_joint_checkpoint(self, published):
        assert len(published[0]) == 422
        acoustic, vocoder = joint_networks(FILE, published[0], FULL_SIZE, META)
        gains = sum(tensor.numel() for name, tensor in published[0].items() if name.endswith("weight_g"))
        assert values(acoustic) + values(vocoder) + gains == 52_003_287  # parameters_used

    def test_joint_checkpoint_with_parametrised_weight_norm(self, published):
        renamed = {
            name.replace("weight_g", "parametrizations.weight.original0").replace(
                "weight_v", "parametrizations.weight.original1"
            ): tensor
            for name, tensor in published[0].items()
        }
        assert renamed.keys() != published[0].keys()
        joint_networks(FILE, renamed, FULL_SIZE, META)

    def test_style_checkpoint(self, published):
        assert len(published[1]) == 210
        encoder = style_encoder(FILE, published[1], NO_FILE, FULL_SIZE, META)
        heads = [tensor for name, tensor in published[1].items() if not name.startswith("module.bert.")]
        assert values(encoder) + sum(map(torch.numel, heads)) == 96_662_160  # parameters


class TestStrictness:
    @pytest.mark.parametrize(
        "name",
        [
            "am.src_word_emb.weight",
            "am.encoder.embed.0.alpha",
            "am.decoder.encoders.2.feed_forward.w_1.bias",
            "am.pitch_predictor.conv.1.2.weight",
            "am.alignment_module.f_conv1.weight",
            "generator.resblocks.11.convs2.2.weight_g",
            "generator.ups.0.weight_v",
            "generator.conv_post.bias",
        ],
    )
    @pytest.mark.parametrize("change", ["missing", "shape"])
    def test_names_what_does_not_fit(self, name, change, tiny, config):
        state = dict(tiny)
        if change == "missing":
            del state[name]
        else:
            state[name] = torch.zeros(3, 3, 3, 3)
        with pytest.raises(InvalidModel) as caught:
            joint_networks(FILE, state, config, META)
        (problem,) = caught.value.problems
        assert problem.startswith(f"{name}: {change}")
        assert str(list(tiny[name].shape)) in problem
        assert str(caught.value).startswith(f"{FILE}: {name}")

    def test_names_what_is_too_much(self, tiny, config):
        with pytest.raises(InvalidModel, match=r"am\.postnet\.weight: unexpected"):
            joint_networks(FILE, {**tiny, "am.postnet.weight": torch.zeros(1)}, config, META)

    def test_refuses_whole_numbers(self, tiny, config):
        state = {**tiny, "am.to_mel.bias": torch.zeros(10, dtype=torch.int64)}
        with pytest.raises(InvalidModel, match=r"am\.to_mel\.bias: torch\.int64, not floating point"):
            joint_networks(FILE, state, config, META)

    def test_a_long_list_is_cut(self, config):
        with pytest.raises(InvalidModel, match=r"and \d+ more") as caught:
            joint_networks(FILE, {}, config, META)
        assert len(caught.value.problems) == 374
        assert len(str(caught.value).splitlines()) == 21

    def test_names_what_the_style_encoder_lacks(self, directory, config):
        state = checkpoint.read_tensors(directory.style_checkpoint, "model")
        del state["module.bert.pooler.dense.weight"]
        with pytest.raises(InvalidModel, match=r"module\.bert\.pooler\.dense\.weight: missing, shape \[32, 32\]"):
            style_encoder(FILE, state, NO_FILE, config, META)


class TestStyleEncoder:
    def test_base_weights_fill_gaps_only(self, directory, config):
        state = checkpoint.read_tensors(directory.style_checkpoint, "model")
        base = checkpoint.read_tensors(directory.base_bert, None)
        name = "bert.pooler.dense.weight"
        assert not torch.equal(base[name], state[f"module.{name}"])
        encoder = style_encoder(
            FILE,
            {key: value for key, value in state.items() if not key.endswith(name)},
            directory.base_bert,
            config,
            torch.device("cpu"),
        )
        parameters = dict(encoder.named_parameters())
        assert torch.equal(parameters["pooler.dense.weight"], base[name])
        word = "embeddings.word_embeddings.weight"
        assert torch.equal(parameters[word], state[f"module.bert.{word}"])

    def test_half_precision_is_widened(self, directory, config):
        state = checkpoint.read_tensors(directory.style_checkpoint, "model")
        halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
        encoder = style_encoder(FILE, halves, NO_FILE, config, torch.device("cpu"))
        assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
        assert not any(parameter.requires_grad for parameter in encoder.parameters())
        assert not any(module.training for module in encoder.modules())


class TestWeightNorm:
    def test_folding_is_what_torch_computes(self):
        torch.manual_seed(3)
        transposed = torch.nn.utils.parametrizations.weight_norm(torch.nn.ConvTranspose1d(4, 6, 8))
        with torch.no_grad():
            transposed.parametrizations.weight.original0.uniform_(0.5, 2)
        state = checkpoint.with_old_weight_norm_names({f"up.{k}": v for k, v in transposed.state_dict().items()})
        assert state.keys() == {"up.bias", "up.weight_g", "up.weight_v"}
        folded = checkpoint.fold_weight_norm(state)
        assert folded.keys() == {"up.bias", "up.weight"}
        torch.testing.assert_close(folded["up.weight"], transposed.weight, rtol=1e-6, atol=1e-7)


class TestReading:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "not a readable checkpoint"),
            (b"not a pickle", "not a readable checkpoint"),
            (b"PK\x03\x04 half a zip file", "not a readable checkpoint"),
        ],
        ids=["empty", "text", "truncated"],
    )
    def test_other_files(self, content, said, tmp_path):
        path = tmp_path / "g_00140000"
        path.write_bytes(content)
        with pytest.raises(InvalidModel, match=said):
            checkpoint.read_tensors(path, "generator")

    @pytest.mark.parametrize("content", [[1, 2], {"model": {}}, {"generator": {"a": 1}}], ids=["list", "key", "values"])
    def test_other_contents(self, content, tmp_path):
        path = tmp_path / "g_00140000"
        torch.save(content, path)
        with pytest.raises(InvalidModel, match="holds no tensors by name under 'generator'"):
            checkpoint.read_tensors(path, "generator")

    def test_never_runs_what_a_file_contains(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return Path.touch, (tmp_path / "sprung",)

        path = tmp_path / "g_00140000"
        torch.save({"generator": Trap()}, path)
        with pytest.raises(InvalidModel, match="not a readable checkpoint"):
            checkpoint.read_tensors(path, "generator")
        assert not (tmp_path / "sprung").exists()

    def test_files_of_old_torch(self, tmp_path):
        path = tmp_path / "g_00140000"
        torch.save({"generator": {"a": torch.ones(2)}}, path, _use_new_zipfile_serialization=False)
        assert checkpoint.read_tensors(path, "generator")["a"].tolist() == [1, 1]
