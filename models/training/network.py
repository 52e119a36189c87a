"""The network: picture in, chance of a plate's centre and its four corners per cell of 8 x 8 pixels out."""

import torch
from torch import nn
from torch.nn import functional as F

STRIDE = 8
# The corner layer works in units of this many cells, so that its values stay near 1.
CORNER_SCALE = 4.0


def conv(i, o, kernel=3, stride=1, groups=1, act=True):
    """Convolution, batch normalisation (folded at export), ReLU."""
    layers = [nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if act else nn.Sequential(*layers)


class Dense(nn.Module):
    """Residual block of two 3 x 3 convolutions."""

    def __init__(self, c):
        super().__init__()
        self.body = nn.Sequential(conv(c, c), conv(c, c, act=False))

    def forward(self, x):
        return F.relu(x + self.body(x))


class Separable(nn.Module):
    """Residual block of a 5 x 5 convolution per channel between two 1 x 1 ones: a wide view for little work."""

    def __init__(self, c):
        super().__init__()
        self.body = nn.Sequential(conv(c, c, 5, groups=c), conv(c, 2 * c, 1), conv(2 * c, c, 1, act=False))

    def forward(self, x):
        return F.relu(x + self.body(x))


class PlateCorners(nn.Module):
    """Strides 2 to 32 down, added up again to stride 8, two heads."""

    def __init__(self, widths=(8, 24, 40, 64, 96), neck=40):
        super().__init__()
        a, b, c, d, e = widths
        self.s4 = nn.Sequential(conv(3, a, stride=2), conv(a, b, stride=2))
        self.s8 = nn.Sequential(conv(b, c, stride=2), Dense(c))
        self.s16 = nn.Sequential(conv(c, d, stride=2), Dense(d), Separable(d))
        self.s32 = nn.Sequential(conv(d, e, stride=2), Separable(e), Separable(e), Separable(e))
        self.from8, self.from16, self.from32 = (nn.Conv2d(w, neck, 1) for w in (c, d, e))
        self.mix16 = Separable(neck)
        self.mix8 = nn.Sequential(Separable(neck), conv(neck, neck))
        self.score = nn.Conv2d(neck, 1, 1)
        self.corners = nn.Conv2d(neck, 8, 1)
        nn.init.constant_(self.score.bias, -4.0)

    def forward(self, x):
        """The score's logit and the corners, in cells from the cell's centre."""
        f8 = self.s8(self.s4(x))
        f16 = self.s16(f8)
        f32 = self.s32(f16)
        f = self.mix16(self.from16(f16) + F.interpolate(self.from32(f32), scale_factor=2.0))
        f = self.mix8(F.relu(self.from8(f8) + F.interpolate(f, scale_factor=2.0)))
        return self.score(f), self.corners(f) * CORNER_SCALE


class Exported(nn.Module):
    """As the file has it: the score is a chance."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, picture):
        score, corners = self.network(picture)
        return torch.sigmoid(score), corners
