"""Writes a checkpoint as ONNX: `export_reader.py CHECKPOINT plate-text.onnx`."""

import sys

import onnx
import torch

from read_network import Exported, PlateText
from strips import CHARSET, HEIGHT


def export(network, path):
    """Batch normalisation is folded into the convolutions; number and width of strips stay free."""
    torch.onnx.export(
        Exported(network).eval(),
        torch.zeros(2, 3, HEIGHT, 160),
        path,
        opset_version=13,
        input_names=["strip"],
        output_names=["signs"],
        dynamic_axes={"strip": {0: "n", 3: "width"}, "signs": {0: "n", 1: "width/4"}},
    )
    model = onnx.load(path)
    signs = model.metadata_props.add()
    signs.key, signs.value = "character", "\n".join(CHARSET)
    onnx.save(model, path)


if __name__ == "__main__":
    network = PlateText()
    network.load_state_dict(torch.load(sys.argv[1], map_location="cpu")["average"])
    export(network, sys.argv[2])
    print(sum(p.numel() for p in network.parameters()), "parameters")
