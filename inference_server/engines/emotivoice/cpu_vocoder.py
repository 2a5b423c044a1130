"""The vocoder for CPUs: the same network as `vocoder.Vocoder`, with `fast_convolution` in place of its convolutions."""

from torch import Tensor
from torch.nn.functional import leaky_relu

from inference_server.engines.emotivoice.fast_convolution import PlainConvolution, Upsampling, fastest
from inference_server.engines.emotivoice.vocoder import LAST_SLOPE, SLOPE, ResidualBlock, Vocoder


class CpuVocoder:
    """Mel frames of one sentence to a wave."""

    def __init__(self, vocoder: Vocoder) -> None:
        self.sizes = vocoder.sizes
        self._before = PlainConvolution(vocoder.conv_pre)
        self._after = PlainConvolution(vocoder.conv_post)
        self._stages = [(Upsampling(up), [_Block(block) for block in blocks]) for up, blocks in vocoder.stages()]

    def __call__(self, mel: Tensor) -> Tensor:
        """`(F, mel)` to samples `(F * hop)`."""
        x = self._before(mel)
        for upsample, (first, *others) in self._stages:
            x = upsample(leaky_relu(x, SLOPE, inplace=True))
            total = first(x)
            for block in others:
                total += block(x)
            x = total.div_(1 + len(others))
        return self._after(leaky_relu(x, LAST_SLOPE, inplace=True)).tanh().squeeze(1)


class _Block:
    def __init__(self, block: ResidualBlock) -> None:
        self._pairs = [(fastest(dilated), fastest(plain)) for dilated, plain in block.pairs()]

    def __call__(self, x: Tensor) -> Tensor:
        """Shape stays `(L, C)`."""
        for dilated, plain in self._pairs:
            inner = leaky_relu(dilated(leaky_relu(x, SLOPE)), SLOPE, inplace=True)
            x = plain(inner).add_(x)
        return x
