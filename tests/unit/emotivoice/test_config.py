"""The model directory: which files are chosen, which sizes are read, what is refused."""

import shutil

import pytest
import yaml

from inference_server.engines.emotivoice.config import ModelDirectory, read_config
from inference_server.engines.emotivoice.errors import InvalidModel


@pytest.fixture
def copy(model_root, tmp_path):
    """A model directory to be changed."""
    return shutil.copytree(model_root, tmp_path / "model")


def change_sizes(root, **changes):
    path = root / "config/joint/config.yaml"
    sizes = yaml.safe_load(path.read_text())
    for name, value in changes.items():
        (sizes["model"] if name in sizes["model"] else sizes)[name] = value
    path.write_text(yaml.safe_dump(sizes))


def test_sizes_come_from_the_files(config):
    assert (len(config.tokens), len(config.voices)) == (502, 2014)
    assert (config.voices[0], config.tokens[:2]) == ("8051", ("_", "<sos/eos>"))
    assert (config.acoustic.encoder.heads, config.acoustic.decoder.heads) == (4, 3)
    assert (config.acoustic.encoder.layers, config.acoustic.decoder.layers) == (2, 3)
    assert (config.acoustic.pitch.width, config.acoustic.mel, config.vocoder.channels) == (20, 10, 32)
    assert config.vocoder.hop == 256


def test_the_newest_checkpoints_are_chosen(copy):
    folder = copy / "outputs/prompt_tts_open_source_joint/ckpt"
    for name in ("g_00140001", "g_1", "do_00150000"):
        shutil.copy(folder / "g_00140000", folder / name)
    assert ModelDirectory.find(copy).joint_checkpoint.name == "g_00140001"


def test_every_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidModel) as caught:
        ModelDirectory.find(tmp_path)
    assert caught.value.problems == (
        "missing file outputs/prompt_tts_open_source_joint/ckpt/g_????????",
        "missing file outputs/style_encoder/ckpt/checkpoint_??????",
        "missing file WangZeJun/simbert-base-chinese/config.json",
        "missing file WangZeJun/simbert-base-chinese/vocab.txt",
        "missing file config/joint/config.yaml",
        "missing file data/youdao/text/tokenlist",
        "missing file data/youdao/text/speaker2",
    )


def test_what_the_style_checkpoint_overrides_need_not_be_there(copy):
    (copy / "WangZeJun/simbert-base-chinese/pytorch_model.bin").unlink()
    assert ModelDirectory.find(copy).lexicon is None


def test_no_directory(tmp_path):
    with pytest.raises(InvalidModel, match="not a directory"):
        ModelDirectory.find(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sr": 24000}, "sr: 24000 is not supported, only 16000"),
        ({"hop_length": 300}, "upsample_rates: make 256 samples a frame, not hop_length"),
        ({"bert_embedding": 768}, "bert_embedding: 768 is not BERT's 32"),
        ({"encoder_n_heads": 5}, "encoder_n_heads: 5 does not divide encoder_n_hidden 24"),
        ({"decoder_n_hidden": 12}, "decoder_n_hidden: differs from encoder_n_hidden"),
        ({"encoder_n_layers": 0}, "encoder_n_layers: 0 is not a positive whole number"),
        ({"encoder_n_layers": True}, "encoder_n_layers: True is not a positive whole number"),
        ({"variance_n_hidden": None}, "variance_n_hidden: None is not a positive whole number"),
        ({"initial_channel": 80}, "initial_channel: differs from n_mels"),
        ({"upsample_kernel_sizes": [16]}, "upsample_kernel_sizes: not as many as upsample_rates"),
        ({"upsample_rates": "8,8,2,2"}, "upsample_rates: '8,8,2,2' is not a list"),
        ({"resblock_dilation_sizes": [[1]]}, "resblock_dilation_sizes: not as many as resblock_kernel_sizes"),
        ({"resblock_dilation_sizes": []}, r"resblock_dilation_sizes: \[\] is not a list"),
        ({"upsample_initial_channel": 24}, "upsample_initial_channel: cannot be halved at every upsampling"),
        ({"model": 3}, "model: not a section"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_impossible_sizes(copy, changes, said):
    change_sizes(copy, **changes)
    with pytest.raises(InvalidModel, match=said) as caught:
        read_config(ModelDirectory.find(copy))
    assert caught.value.path.name == "config.yaml"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config/joint/config.yaml", "a: [", "cannot be read"),
        ("config/joint/config.yaml", "just words", "not a mapping"),
        ("WangZeJun/simbert-base-chinese/config.json", "{", "cannot be read"),
        ("WangZeJun/simbert-base-chinese/config.json", "{}", "vocab_size: None is not a positive whole number"),
        ("data/youdao/text/tokenlist", "", "empty"),
        ("data/youdao/text/tokenlist", "_\n[AA0]", "has no token <sos/eos>"),
        ("data/youdao/text/speaker2", "8051\n\n11614", "empty line"),
        ("data/youdao/text/speaker2", "8051\n8051", "a name twice"),
    ],
)
def test_broken_files(copy, name, content, said):
    (copy / name).write_text(content)
    with pytest.raises(InvalidModel, match=said) as caught:
        read_config(ModelDirectory.find(copy))
    assert caught.value.path == copy / name
