"""Writes the fixtures of tests/pytorch.rs: weights as PyTorch saves them, and what PyTorch computes with them.

Run with torch and safetensors installed; reads nothing, writes next to itself. The seed is fixed; another release of
torch may draw other weights, which changes all files together.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent


class LeNet(nn.Module):
    """LeNet with few channels: two convolutions, three linear layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3, padding=1)
        self.conv2 = nn.Conv2d(2, 4, 3, padding=1)
        self.fc1 = nn.Linear(4 * 7 * 7, 12)
        self.fc2 = nn.Linear(12, 8)
        self.fc3 = nn.Linear(8, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc3(torch.relu(self.fc2(x)))


class NormNet(nn.Module):
    """Convolution, batch norm, linear layer: the names and the buffers of a norm."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.fc = nn.Linear(3 * 4 * 4, 5)

    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).flatten(1))


def write(name, net, x):
    net.eval()
    with torch.no_grad():
        logits = net(x)
    save_file(net.state_dict(), HERE / f"{name}_pytorch.safetensors", metadata={"format": "pt"})
    save_file({"input": x, "logits": logits}, HERE / f"{name}_pytorch_io.safetensors")


torch.manual_seed(20240229)
write("lenet", LeNet(), torch.randn(2, 1, 28, 28))
norm = NormNet()
with torch.no_grad():
    norm.norm.weight.uniform_(0.5, 1.5)
    norm.norm.bias.uniform_(-0.5, 0.5)
for _ in range(3):
    norm(2 * torch.randn(8, 1, 6, 6) + 1)
write("norm", norm, torch.randn(2, 1, 6, 6))
