"""The plate reader's network: a strip in, the chance of each sign per frame of 4 pixels out."""

import torch
from torch import nn
from torch.nn import functional as F

from network import conv
from strips import CHARSET

STRIDE = 4
CLASSES = 1 + len(CHARSET)  # blank first


class Block(nn.Module):
    """Residual block."""

    def __init__(self, c):
        super().__init__()
        self.body = nn.Sequential(conv(c, c), conv(c, c, act=False))

    def forward(self, x):
        return F.relu(x + self.body(x))


class Along(nn.Module):
    """Residual convolution along the line."""

    def __init__(self, c, kernel=5):
        super().__init__()
        across = nn.Conv2d(c, c, (1, kernel), padding=(0, kernel // 2), bias=False)
        self.body = nn.Sequential(across, nn.BatchNorm2d(c))

    def forward(self, x):
        return F.relu(x + self.body(x))


class PlateText(nn.Module):
    """Grey, height 32 to 1 in five steps, width to a quarter, then a view of some signs along the line."""

    def __init__(self, widths=(24, 40, 72, 128)):
        super().__init__()
        a, b, c, d = widths
        self.s2 = conv(1, a, stride=2)
        self.s4 = nn.Sequential(conv(a, b, stride=2), Block(b))
        self.s8 = nn.Sequential(self.lower(b, c), Block(c))
        flat = nn.Conv2d(d, d, (2, 1), bias=False)
        self.s16 = nn.Sequential(self.lower(c, d), flat, nn.BatchNorm2d(d), nn.ReLU(inplace=True))
        self.along = nn.Sequential(Along(d), Along(d))
        self.head = nn.Conv2d(d, CLASSES, 1)
        nn.init.constant_(self.head.bias[0], 2.0)

    @staticmethod
    def lower(i, o):
        return nn.Sequential(nn.Conv2d(i, o, 3, (2, 1), 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))

    def forward(self, x):
        """f32[N,1,32,W], 0-255 as x/127.5-1, to logits f32[N,CLASSES,W/4]."""
        return self.head(self.along(self.s16(self.s8(self.s4(self.s2(x)))))).squeeze(2)


class Exported(nn.Module):
    """As the file has it: three equal or unequal channels in, chances out, frames before classes."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, strip):
        return torch.softmax(self.network(strip.mean(1, keepdim=True)), 1).permute(0, 2, 1)
