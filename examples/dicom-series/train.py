"""Train the network on the training studies, and save its weights."""

from pathlib import Path

import pandas as pd
import torch
from torch import nn

from network import CONDITIONS, Network, read

DATA, WEIGHTS = Path("data"), Path("weights")


def main() -> None:
    """Hold out every fifth study, train on the others, and report the accuracy."""
    torch.manual_seed(0)
    table = pd.read_csv(DATA / "train.csv", dtype={"study_id": str})
    wide = table.pivot(index="study_id", columns="condition", values="present")
    studies = [read(DATA / "train_series" / study) for study in wide.index]
    labels = torch.tensor(wide[list(CONDITIONS)].to_numpy(), dtype=torch.float32)
    held_out = range(0, len(studies), 5)

    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(10):
        for number in torch.randperm(len(studies)).tolist():
            if number not in held_out:
                logits = network(studies[number])
                loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[number])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    with torch.inference_mode():
        logits = torch.stack([network(studies[number]) for number in held_out])
    right = (logits > 0) == labels[held_out].bool()
    print(f"accuracy {right.float().mean():.3f} on {len(held_out)} studies held out")
    WEIGHTS.mkdir(exist_ok=True)
    torch.save(network.state_dict(), WEIGHTS / "network.pt")


if __name__ == "__main__":
    main()
