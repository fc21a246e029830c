"""The shapes of other colorizers' networks, in our own code and with random weights: for their cost, not their colors.

Layers, channels and strides are those of the published code; normalization that is folded into a convolution when a
network is used (spectral, weight) is left out. N pictures of H,W.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolution(before: int, after: int, *, size: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the picture's size but for its stride, and a ReLU."""
    padding = dilation * (size // 2)
    return nn.Sequential(nn.Conv2d(before, after, size, stride, padding, dilation), nn.ReLU(inplace=True))


def zhang_2016() -> nn.Module:
    """Colorful Image Colorization (ECCV 2016): L (N,1,H,W) → a,b (N,2,H,W), in its demonstration 256x256."""
    layers: list[nn.Module] = []
    channels = 1
    blocks = (
        (64, 2, 2, 1),
        (128, 2, 2, 1),
        (256, 3, 2, 1),
        (512, 3, 1, 1),
        (512, 3, 1, 2),
        (512, 3, 1, 2),
        (512, 3, 1, 1),
    )
    for width, count, stride, dilation in blocks:
        for number in range(count):
            last = number == count - 1
            layers.append(convolution(channels, width, stride=stride if last else 1, dilation=dilation))
            channels = width
        layers.append(nn.BatchNorm2d(width))
    layers += [nn.ConvTranspose2d(512, 256, 4, 2, 1), nn.ReLU(), convolution(256, 256), convolution(256, 256)]
    layers += [nn.Conv2d(256, 313, 1), nn.Softmax(dim=1), nn.Conv2d(313, 2, 1, bias=False)]
    return nn.Sequential(*layers, nn.Upsample(scale_factor=4, mode="bilinear"))


class Upsampling(nn.Module):
    """A 1x1 convolution, pixels shuffled apart, a blur: how fast.ai's U-Nets enlarge."""

    def __init__(self, before: int, after: int, scale: int = 2) -> None:
        super().__init__()
        self.convolution = convolution(before, after * scale**2, size=1)
        self.shuffle, self.blur = nn.PixelShuffle(scale), nn.AvgPool2d(2, stride=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features `scale` times as large."""
        return self.blur(functional.pad(self.shuffle(self.convolution(features)), (1, 0, 1, 0), mode="replicate"))


class WideBlock(nn.Module):
    """One step of a wide U-Net: enlarge, join what the encoder saw at this size, convolve."""

    def __init__(self, before: int, seen: int, enlarged: int, after: int) -> None:
        super().__init__()
        self.up, self.norm = Upsampling(before, enlarged), nn.BatchNorm2d(seen)
        self.convolution = nn.Sequential(convolution(enlarged + seen, after), nn.BatchNorm2d(after))

    def forward(self, features: Tensor, seen: Tensor) -> Tensor:
        """Return features of the size of `seen`."""
        up = self.up(features)
        if up.shape[2:] != seen.shape[2:]:  # an odd size was halved
            up = functional.interpolate(up, seen.shape[2:])
        return self.convolution(functional.relu(torch.cat([up, self.norm(seen)], dim=1)))


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = 4 * width
        self.body = nn.Sequential(
            convolution(before, width, size=1),
            convolution(width, width, stride=stride),
            nn.Conv2d(width, after, 1),
        )
        self.short = nn.Conv2d(before, after, 1, stride) if stride > 1 or before != after else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return features, smaller by the stride."""
        return functional.relu(self.body(features) + self.short(features))


class Attention(nn.Module):
    """Every place looks at every other one (SAGAN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = (nn.Conv1d(channels, channels // 8, 1, bias=False) for _ in range(2))
        self.value = nn.Conv1d(channels, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        flat = features.flatten(2)
        weights = torch.softmax(self.query(flat).transpose(1, 2) @ self.key(flat), dim=1)
        return features + (self.value(flat) @ weights).view_as(features)


class DeOldifyVideo(nn.Module):
    """DeOldify's network for video: ResNet-101 and a U-Net twice as wide. RGB (N,3,H,W) → RGB, by default 336x336."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, 64, size=7, stride=2)
        before, stages = 64, []
        for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 23, 2), (512, 3, 2)):
            blocks = [
                Bottleneck(before if number == 0 else 4 * width, width, stride if number == 0 else 1)
                for number in range(count)
            ]
            stages.append(nn.Sequential(*blocks))
            before = 4 * width
        self.stages = nn.ModuleList(stages)
        self.middle = nn.Sequential(nn.BatchNorm2d(2048), nn.ReLU(), convolution(2048, 4096), convolution(4096, 2048))
        self.blocks = nn.ModuleList(
            [
                WideBlock(2048, 1024, 512, 512),
                WideBlock(512, 512, 512, 512),
                WideBlock(512, 256, 512, 512),
                WideBlock(512, 64, 256, 256),
            ]
        )
        self.attention = Attention(512)
        self.last = Upsampling(256, 256)
        self.residual = nn.Sequential(convolution(259, 259), convolution(259, 259))
        self.head = nn.Conv2d(259, 3, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        """Return colors of the same size."""
        seen = [self.stem(rgb)]
        features = functional.max_pool2d(seen[0], 3, 2, 1)
        for stage in self.stages:
            features = stage(features)
            seen.append(features)
        features = self.middle(features)
        for number, (block, same_size) in enumerate(zip(self.blocks, seen[-2::-1], strict=True)):
            features = block(features, same_size)
            if number == 1:
                features = self.attention(features)
        features = torch.cat([self.last(features), rgb], dim=1)
        return torch.sigmoid(self.head(features + self.residual(features)))


class ConvNextBlock(nn.Module):
    """A depthwise convolution of 7x7 and two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width)
        self.linear = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        moved = self.depthwise(features).permute(0, 2, 3, 1)
        return features + self.linear(self.norm(moved)).permute(0, 3, 1, 2)


class DDColorTiny(nn.Module):
    """DDColor with ConvNeXt-T: two decoders, one for pixels, one for 100 colors. RGB (N,3,H,W), by default 512x512."""

    def __init__(self, queries: int = 100) -> None:
        super().__init__()
        widths = (96, 192, 384, 768)
        self.down = nn.ModuleList([nn.Conv2d(3, 96, 4, 4), *(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(widths))])
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNextBlock(width) for _ in range(count)))
            for width, count in zip(widths, (3, 3, 9, 3), strict=True)
        )
        self.blocks = nn.ModuleList(
            [WideBlock(768, 384, 512, 512), WideBlock(512, 192, 512, 512), WideBlock(512, 96, 256, 256)]
        )
        self.last = Upsampling(256, 256, scale=4)
        self.projections = nn.ModuleList(nn.Conv2d(width, 256, 1) for width in (512, 512, 256))
        self.query = nn.Parameter(torch.randn(1, queries, 256))
        self.layers = nn.ModuleList(nn.TransformerDecoderLayer(256, 8, 2048, 0.0, batch_first=True) for _ in range(9))
        self.embed = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256))
        self.head = nn.Conv2d(queries + 3, 2, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        """Return a,b of the same size."""
        features, seen = rgb, []
        for down, stage in zip(self.down, self.stages, strict=True):
            features = stage(down(features))
            seen.append(features)
        scales = []
        for block, same_size in zip(self.blocks, seen[-2::-1], strict=True):
            features = block(features, same_size)
            scales.append(features)
        memory = [
            project(scale).flatten(2).transpose(1, 2) for project, scale in zip(self.projections, scales, strict=True)
        ]
        colors = self.query.expand(len(rgb), -1, -1)
        for number, layer in enumerate(self.layers):
            colors = layer(colors, memory[number % 3])
        drawn = torch.einsum("nqc,nchw->nqhw", self.embed(colors), self.last(features))
        return self.head(torch.cat([drawn, rgb], dim=1))
