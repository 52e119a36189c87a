"""Writes a checkpoint as ONNX: `export.py CHECKPOINT plate-corners.onnx` (`-` for an untrained network)."""

import sys

import torch

from network import Exported, PlateCorners


def export(network, path):
    """Batch normalisation is folded into the convolutions; height and width stay free."""
    free = {2: "height", 3: "width"}
    cells = {2: "height/8", 3: "width/8"}
    torch.onnx.export(
        Exported(network).eval(),
        torch.zeros(1, 3, 480, 640),
        path,
        opset_version=13,
        input_names=["picture"],
        output_names=["score", "corners"],
        dynamic_axes={"picture": free, "score": cells, "corners": cells},
    )


if __name__ == "__main__":
    network = PlateCorners()
    if sys.argv[1] != "-":
        network.load_state_dict(torch.load(sys.argv[1], map_location="cpu")["average"])
    export(network, sys.argv[2])
    print(sum(p.numel() for p in network.parameters()), "parameters")
