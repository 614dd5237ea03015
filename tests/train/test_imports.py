"""What the bundler may ask of training costs no slow import."""

import subprocess
import sys


def test_the_torch_free_modules_are_torch_free():
    modules = ["metrics", "phantom", "tracking", "records", "sync", "sheets", "cache", "prepare"]
    modules += ["table", "folds", "sampling", "storage", "settings", "revision", "augmentation"]
    slow = ["torch", "timm", "mlflow", "pandas", "hydra", "matplotlib", "fsspec", "distributed"]
    code = (
        f"import sys, {', '.join(f'train.{name}' for name in modules)};"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
