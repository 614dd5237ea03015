"""What can be known before the run: are bundles, notebook and target of one piece?"""

from bundler.competition.check import Check, verdict
from bundler.rehearse.checks import bundles, notebook, old_gpu, paths, reached, tree, wheels
from bundler.rehearse.inputs import Inputs

FATAL = ("bundles", "upload", "ids", "wheels")  # where one of these fails, the run would, at once


def check(inputs: Inputs) -> tuple[Check, ...]:
    """Return the checks of what will be published. Raises InputError."""
    options, libs, target = inputs.options, inputs.bundles["libs"], inputs.target
    named_targets = " and ".join(one.name for one in inputs.targets)
    accelerator = options.settings.accelerator
    model = inputs.bundles.get("model")
    altered = list(bundles.altered(inputs.bundles))
    changed = list(bundles.changed_files(model)) if model else []
    lost = list(bundles.lost_by_upload(inputs.bundles, options.dist))
    stale = list(notebook.stale(inputs.notebook, inputs.bundles))
    # A notebook for other bundles differs from theirs anyway: one message is enough.
    edited = [] if stale else list(notebook.edited(inputs.notebook, options.dist, options.settings))
    unfit = [line for one in inputs.targets for line in wheels.unfit(libs, one)]
    wants_gpu = bool(target.gpus) and accelerator.lower() not in ("", "none", "cpu")
    # A command of the user's may use the image's PyTorch: only one with ONNX Runtime is judged.
    wants_gpu = wants_gpu and (options.settings.run is None or wheels.has_onnxruntime(libs, target))
    idle = list(wheels.without_gpu(libs, target, accelerator)) if wants_gpu else []
    texts = tree.read(inputs.bundles["code"])
    named = list(paths.of_laptop(texts))
    loaded = reached.reached(texts, options.settings.run)
    too_new = old_gpu.demands(loaded, model, wheels.pins(libs, target), accelerator)
    checks = [
        verdict("bundles", altered, "every file matches its manifest"),
        *changed,
        verdict("upload", lost, "the bundles can be found and verified after every form of upload"),
        verdict("ids", stale, "the notebook was written for these bundles"),
    ]
    if not stale:
        checks.append(verdict("notebook", edited, "as `rsna-bundle notebook` writes it"))
    checks.append(verdict("wheels", unfit, f"all of them install on {named_targets}"))
    if wants_gpu:
        fine = f"onnxruntime-gpu for CUDA {target.cuda}"
        checks.append(verdict("accelerator", idle, fine))
    # A branch that the notebook does not take may hold it: said, but no failure.
    checks += [Check(name="GPU", status="unproven", message=message) for message in too_new]
    return (*checks, verdict("paths", named, "the code names no file of the laptop"))
