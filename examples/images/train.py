"""Train the network on the training images, and save its weights."""

from pathlib import Path

import pandas as pd
import torch
from torch import nn

from network import CLASSES, Network, read

DATA, WEIGHTS = Path("data"), Path("weights")


def main() -> None:
    """Hold out every fifth image, train on the others, and report the accuracy."""
    torch.manual_seed(0)
    table = pd.read_csv(DATA / "train.csv", dtype={"image_id": str})
    images = torch.stack([read(DATA / "train_images" / f"{name}.png") for name in table.image_id])
    labels = torch.tensor(table[list(CLASSES)].to_numpy()).argmax(1)
    held_out = torch.arange(len(table)) % 5 == 0
    images_in, labels_in = images[~held_out], labels[~held_out]

    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(12):
        for batch in torch.randperm(len(labels_in)).split(32):
            loss = nn.functional.cross_entropy(network(images_in[batch]), labels_in[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.inference_mode():
        right = network(images[held_out]).argmax(1) == labels[held_out]
    print(f"accuracy {right.float().mean():.3f} on {len(right)} images held out")
    WEIGHTS.mkdir(exist_ok=True)
    torch.save(network.state_dict(), WEIGHTS / "network.pt")


if __name__ == "__main__":
    main()
