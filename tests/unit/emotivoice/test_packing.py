"""Packed layers compute what plain ones do."""

import pytest
import torch
from torch import nn

from inference_server.engines.emotivoice.layers import Convolution
from inference_server.engines.emotivoice.packing import PackedConvolution, PackedLinear, pack


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(5)
    with torch.inference_mode():
        yield


def relative_error(got, want):
    assert got.dtype == torch.float32
    assert got.shape == want.shape
    return float((got - want).abs().max() / want.abs().max())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (1, 96, 32), (7, 33, 1), (200, 64, 128)])
def test_a_linear_layer(rows, inputs, outputs, bias):
    linear = nn.Linear(inputs, outputs, bias=bias)
    x = torch.randn(2, rows, inputs)
    got = PackedLinear(linear.weight, linear.bias)(x)
    assert relative_error(got, linear.double()(x.double())) < 2e-6


@pytest.mark.parametrize("kernel", [1, 3, 9])
@pytest.mark.parametrize(("length", "channels", "outputs"), [(1, 1, 8), (5, 16, 8), (100, 24, 96)])
def test_a_convolution(length, channels, outputs, kernel):
    convolution = Convolution(channels, outputs, kernel)
    x = torch.randn(3, length, channels)
    got = PackedConvolution(convolution)(x)
    want = nn.functional.conv1d(
        x.double().transpose(1, 2), convolution.weight.double(), convolution.bias.double(), padding=kernel // 2
    )
    assert relative_error(got, want.transpose(1, 2)) < 2e-6
    assert relative_error(convolution(x), want.transpose(1, 2)) < 2e-6


def test_every_layer_inside_a_module_is_replaced():
    module = nn.ModuleDict({"list": nn.ModuleList([nn.Linear(4, 4)]), "row": nn.Sequential(Convolution(4, 4, 3))})
    pack(module)
    kinds = {type(each) for each in module.modules()}
    assert {PackedLinear, PackedConvolution} <= kinds
    assert not {nn.Linear, Convolution} & kinds
