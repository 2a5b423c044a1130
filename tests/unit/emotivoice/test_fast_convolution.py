"""Fast convolutions are convolutions."""

import pytest
import torch
from torch import nn

from inference_server.engines.emotivoice.config import VocoderSizes
from inference_server.engines.emotivoice.cpu_vocoder import CpuVocoder
from inference_server.engines.emotivoice.fast_convolution import PlainConvolution, ToomConvolution, Upsampling, fastest
from inference_server.engines.emotivoice.vocoder import Vocoder


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(11)
    with torch.inference_mode():
        yield


def same_length(channels, kernel, dilation):
    return nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) * dilation // 2, dilation=dilation)


def relative_error(got, want):
    return float((got - want).abs().max() / want.abs().max())


@pytest.mark.parametrize("make", [PlainConvolution, ToomConvolution])
@pytest.mark.parametrize("dilation", [1, 3, 5, 7])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9, 11, 13])
def test_equals_the_plain_one_in_double_precision(make, kernel, dilation):
    convolution = same_length(6, kernel, dilation)
    x = torch.randn(40, 6)
    got = make(convolution)(x)
    want = convolution.double()(x.T.double()).T
    assert got.dtype == torch.float32
    assert relative_error(got, want) < 2e-6


@pytest.mark.parametrize("dilation", [1, 5])
@pytest.mark.parametrize("kernel", [7, 11])
def test_many_channels_are_multiplied_as_matrices(kernel, dilation):
    convolution = same_length(256, kernel, dilation)
    x = torch.randn(24, 256)
    got = ToomConvolution(convolution)(x)
    assert relative_error(got, convolution.double()(x.T.double()).T) < 2e-6


@pytest.mark.parametrize("length", [4, 8, 12, 100])
def test_signals_shorter_than_the_kernel(length):
    convolution = same_length(3, 11, 5)
    x = torch.randn(length, 3)
    want = convolution(x.T).T
    assert relative_error(ToomConvolution(convolution)(x), want) < 5e-6


@pytest.mark.parametrize(("kernel", "rate"), [(16, 8), (4, 2), (8, 2), (5, 3), (12, 8)])
def test_upsampling_equals_the_transposed_convolution(kernel, rate):
    transposed = nn.ConvTranspose1d(6, 4, kernel, stride=rate, padding=(kernel - rate) // 2)
    x = torch.randn(9, 6)
    got = Upsampling(transposed)(x)
    want = transposed(x.T).T
    assert got.shape == (9 * rate, 4)
    assert relative_error(got, want) < 2e-6


@pytest.mark.parametrize(
    ("convolution", "kind"),
    [
        (same_length(64, 7, 5), ToomConvolution),
        (same_length(64, 3, 1), PlainConvolution),
        (same_length(32, 11, 1), PlainConvolution),
    ],
    ids=["large", "short kernel", "few channels"],
)
def test_what_pays_is_chosen(convolution, kind):
    assert isinstance(fastest(convolution), kind)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv1d(4, 4, 3, padding=1, bias=False),
        nn.Conv1d(4, 4, 4, padding=2),
        nn.Conv1d(4, 4, 3, padding=2, dilation=2),
    ],
    ids=["no bias", "even kernel", "even dilation"],
)
def test_others_are_refused(convolution):
    with pytest.raises(ValueError, match="needs a bias, an odd kernel and an odd dilation"):
        ToomConvolution(convolution)


def test_the_vocoder_for_cpus_is_the_vocoder():
    """With channels enough that Toom-Cook products take part; against the plain network in double precision."""
    sizes = VocoderSizes(8, 128, (8, 8, 2, 2), (16, 16, 4, 4), (3, 7, 11), ((1, 3, 5),) * 3)
    vocoder = Vocoder(sizes).requires_grad_(requires_grad=False)
    for parameter in vocoder.parameters():
        parameter.mul_(2)  # torch's own start is so small that the wave would be nearly silent
    mel = torch.randn(6, 8)
    fast = CpuVocoder(vocoder)(mel)
    want = vocoder.double()(mel[None].double())[0]
    assert want.abs().max() > 0.01
    assert relative_error(fast, want) < 2e-5
