"""Each option of each command: how it is given, where it must arrive, and what arrives without."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from bundler.notebook import submission
from tests.bundler.cli.harness import JSON, ROOT, TEXT, Run

Pick = Callable[[Run], Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """An option: the words that give it, what then arrives, and what arrives without it."""

    words: Sequence[str]
    pick: Pick
    value: Any
    default: Any
    alone: bool = False  # cannot be given beside what the command always needs


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command: the functions that it calls, what it always needs, its options."""

    functions: Sequence[str]
    options: Mapping[str, Case]
    base: Sequence[str] = ()
    progress: bool = True  # whether its call takes the progress


def case(words: str, pick: Pick, value: Any, default: Any = None) -> Case:
    """Return a case; the words are divided at blanks."""
    return Case(words=words.split(), pick=pick, value=value, default=default)


def option(name: str) -> Pick:
    """Return what picks a field, or a part's field, of the options that the first argument is."""
    return lambda run: attrgetter(name)(run.call[0])


DATA = "settings-data"  # the folder that the settings name


def folder_name(name: str) -> Pick:
    """Return what picks the name of a folder of the options that the first argument is."""
    return lambda run: getattr(run.call[0], name).name


def setting(name: str, position: int = 0) -> Pick:
    """Return what picks a key of the settings."""
    return lambda run: getattr(run.call[position], name)


def at(key: int | str) -> Pick:
    """Return what picks an argument of the call."""
    return lambda run: run.call[key]


def name_of_call(run: Run) -> str:
    """Return which function was called."""
    return run.call.name


def published(run: Run) -> Path | None:
    """Return the folder that was published."""
    call = run.called("publish_folder")
    return call[1] if call else None


def is_quiet(run: Run) -> bool | None:
    """Return what the progress was asked for; options with a `quiet` of their own must agree."""
    own = getattr(run.call.arguments[0], "quiet", None) if run.call.arguments else None
    return run.quiet if own is None else own and bool(run.quiet)


def reporting() -> dict[str, Case]:
    """Return the cases of --json and --quiet."""
    return {
        "--json": case("--json", lambda run: run.printed, JSON, TEXT),
        "--quiet": case(
            "--quiet", lambda run: (run.printed, is_quiet(run)), ("", True), (TEXT, False)
        ),
    }


def publishing(kind: str) -> dict[str, Case]:
    """Return the cases of --out and --publish of a command that builds a bundle."""
    return {"--publish": case("--publish", published, ROOT / "dist" / kind)}


def dist(pick: Pick, default: Path) -> dict[str, Case]:
    """Return the cases of --dist and of its other name, --out."""
    given = Path("other") / default.relative_to(ROOT / "dist")
    return {name: case(f"{name} other", pick, given, default) for name in ("--dist", "--out")}


PUBLISH_FOLDER = "bundler.publish.bundles:publish_folder"
LIBS = Command(
    functions=("bundler.libs.build:build", PUBLISH_FOLDER),
    options={
        "--requirements": case(
            "--requirements x.txt", option("requirements"), Path("x.txt"), ROOT / "settings.txt"
        ),
        "--target": case(
            "--target a --target b", option("targets"), ("a", "b"), ("settings-target",)
        ),
        "--resolver": case("--resolver pip-tools", option("resolver"), "pip-tools", "uv"),
        "--no-delta": case("--no-delta", option("delta"), False, True),
        "--allow-sdist": case("--allow-sdist", option("allow_sdist"), True, False),
        "--audit": case("--audit osv.json", option("audit"), Path("osv.json")),
        "--no-install-test": case("--no-install-test", option("install_test"), False, True),
        "--allow-import-failure": case(
            "--allow-import-failure a --allow-import-failure b",
            option("allow_import_failure"),
            ("a", "b"),
            (),
        ),
        "--no-proof": case("--no-proof", option("install_test"), False, True),
        "--check": case("--check", option("check"), True, False),
        "--upgrade": case("--upgrade a --upgrade b,c", option("upgrade"), ("a", "b", "c"), None),
        "--out": case("--out o", option("out"), Path("o"), ROOT / "dist" / "libs"),
        **publishing("libs"),
        **reporting(),
    },
)
MODEL = Command(
    functions=(
        "bundler.model.export:build",
        "bundler.model.export:choose",
        PUBLISH_FOLDER,
        "bundler.model.files:build",
        "bundler.cli.model_config:read",
        "bundler.cli.model_config:write",
    ),
    base=("--run", "base"),  # something to export
    options={
        "--files": Case(
            words=("--files", "a.pt", "b", "--files", "c"),
            pick=lambda run: getattr(run.call[0], "paths", ()),
            value=(Path("a.pt"), Path("b"), Path("c")),
            default=(),
            alone=True,
        ),
        "--config": Case(
            words=("--config", "model.toml"),
            pick=lambda run: [call[0] for call in run.calls if call.name == "read"],
            value=[Path("model.toml")],
            default=[],
            alone=True,
        ),
        "--write-config": case(
            "--write-config model.toml",
            lambda run: [(call.name, call[0]) for call in run.calls if call.name != "build"],
            [("write", Path("model.toml"))],
            [],
        ),
        "--ckpt": case(
            "--ckpt a.pt b", option("choice.checkpoints"), (Path("a.pt"), Path("b")), ()
        ),
        "--run": case("--run r1", option("choice.run"), "r1", "base"),
        "--best": case("--best pfbeta", option("choice.best"), "pfbeta"),
        "--store": case(
            "--store sqlite:///x.db",
            option("choice.store"),
            "sqlite:///x.db",
            f"sqlite:///{ROOT}/runs/mlflow.db",
        ),
        "--by": case("--by last", option("choice.by"), "last"),
        "--fold": case("--fold 0 --fold 2", option("choice.folds"), (0, 2), ()),
        "--dry-run": case("--dry-run", name_of_call, "choose", "build"),
        "--weights": case("--weights raw", option("training.weights"), "raw"),
        "--arch": case("--arch resnet18", option("training.arch"), "resnet18"),
        "--preset": case("--preset roi", option("training.preset"), "roi"),
        "--size": case("--size 9 8", option("training.preprocessing.size"), (9, 8)),
        "--window": case("--window min-max", option("training.preprocessing.window"), "min-max"),
        "--percentiles": case(
            "--percentiles 1 99", option("training.preprocessing.percentiles"), (1.0, 99.0)
        ),
        "--crop": case("--crop none", option("training.preprocessing.crop"), "none"),
        "--crop-margin": case("--crop-margin 0", option("training.preprocessing.crop_margin"), 0.0),
        "--flip": case("--flip none", option("training.preprocessing.flip"), "none"),
        "--fit": case("--fit stretch", option("training.preprocessing.fit"), "stretch"),
        "--reduce": case("--reduce bilinear", option("training.preprocessing.reduce"), "bilinear"),
        "--decode-margin": case(
            "--decode-margin 2", option("training.preprocessing.decode_margin"), 2.0
        ),
        "--preprocess-version": case(
            "--preprocess-version 1", option("training.preprocessing.version"), 1
        ),
        "--mean": case("--mean 0.1,0.2,0.3", option("training.mean"), (0.1, 0.2, 0.3)),
        "--std": case("--std 0.5", option("training.std"), (0.5,)),
        "--scale": case("--scale 1/255", option("training.scale"), 1 / 255),
        "--in-chans": case("--in-chans 3", option("training.in_chans"), 3),
        "--head": case("--head softmax", option("training.head"), "softmax"),
        "--prevalence": case("--prevalence 0.02", option("training.prevalence"), 0.02),
        "--oof": case(
            "--oof a.csv --oof b.csv", option("export.oof"), (Path("a.csv"), Path("b.csv")), ()
        ),
        "--images": case("--images .", option("export.images"), Path(".")),
        "--threshold": case("--threshold 0.3", option("export.threshold"), 0.3),
        "--aggregation": case("--aggregation max", option("export.aggregation"), "max", "mean"),
        "--output": case("--output binary", option("export.predict"), "binary", "probability"),
        "--precision": case("--precision fp16", option("export.precision"), "fp16", "fp32"),
        "--atol": case("--atol 0.01", option("export.atol"), 0.01),
        "--onnx": case(
            "--onnx a.onnx --onnx b.onnx",
            option("choice.onnx"),
            (Path("a.onnx"), Path("b.onnx")),
            (),
        ),
        "--onnx-output": case("--onnx-output out", option("training.onnx_output"), "out"),
        "--factory": case("--factory a.b:c", option("training.factory"), "a.b:c"),
        "--model-kwarg": case(
            "--model-kwarg a=1 --model-kwarg b=max",
            option("training.model_kwargs"),
            {"a": 1, "b": "max"},
            {},
        ),
        "--metadata-columns": case(
            "--metadata-columns age,view", option("training.metadata_columns"), ("age", "view")
        ),
        "--ignore": case("--ignore a.* --ignore b", option("training.ignore"), ("a.*", "b"), ()),
        "--strict": case("--strict", option("export.strict"), True, False),
        "--oof-atol": case("--oof-atol 0.1", option("export.oof_atol"), 0.1, 0.05),
        "--ensemble": case("--ensemble separate", option("export.ensemble"), "separate", "merge"),
        "--average": case("--average rank", option("export.average"), "rank", "weighted"),
        "--out": case("--out o", at(1), Path("o"), ROOT / "dist" / "model"),
        **publishing("model"),
        **reporting(),
    },
)
CODE = Command(
    functions=("bundler.snapshot:build", PUBLISH_FOLDER),
    options={
        "--rev": case("--rev v1", at("rev"), "v1", "HEAD"),
        "--allow-dirty": case("--allow-dirty", at("allow_dirty"), True, False),
        "--out": case("--out o", at(1), Path("o"), ROOT / "dist" / "code"),
        **publishing("code"),
        **reporting(),
    },
)


def command_of(run: Run) -> tuple[str, ...]:
    """Return what the notebook runs by the settings that `write_for` takes."""
    return submission.plan(run.call[0]).command


def word_after(word: str) -> Pick:
    """Return what picks a word of the notebook's command."""
    return lambda run: command_of(run)[command_of(run).index(word) + 1]


NOTEBOOK_SUBMISSION = Command(
    functions=("bundler.notebook.submission:write_for",),
    progress=False,
    options={
        "--competition": case(
            "--competition x", word_after("--competition"), "x", "settings-competition"
        ),
        "--time-limit-hours": case(
            "--time-limit-hours 2", word_after("--time-limit"), "7200", "10800"
        ),
        "--on-failures": case(
            "--on-failures stop",
            lambda run: "--on-failures" in command_of(run),
            False,  # the runner's own default
            True,
        ),
        "--run": Case(
            words=("--run", "python -m mine --x 'a b'"),
            pick=lambda run: command_of(run)[:5],
            value=("python", "-m", "mine", "--x", "a b"),
            default=("python", "-m", "inference.run", "--competition", "settings-competition"),
        ),
        "--target": case(
            "--target a --target b",
            lambda run: run.call[0].target,
            ("a", "b"),
            ("settings-target",),
        ),
        **dist(at(1), ROOT / "dist"),
        **reporting(),
    },
)
NOTEBOOK_TRAIN = Command(
    functions=("bundler.notebook.other:write_training",),
    progress=False,
    options={
        "--repository": case("--repository u", at("repository"), "u"),
        "--branch": case("--branch b", at("branch"), "b", "main"),
        "--set": case("--set a=1 --set b=2", at("overrides"), ("a=1", "b=2"), ()),
        "--bucket": case("--bucket gs://b", at("bucket"), "gs://b"),
        **dist(at(1), ROOT / "dist"),
        **reporting(),
    },
)
NOTEBOOK_LIBS = Command(
    functions=("bundler.notebook.other:write_libs",),
    progress=False,
    options={
        "--build": case("--build a --build b", at("packages"), ("a", "b"), ()),
        **dist(at(0), ROOT / "dist"),
        **reporting(),
    },
)
COMPETITION = Command(
    functions=("bundler.competition.profile:read", "bundler.competition.confirm:keep"),
    base=("--competition-dir", "."),
    progress=False,
    options={
        "--competition-dir": case("--competition-dir ..", at(0), Path(".."), Path(".")),
        "--set": case("--set id=image_id", lambda run: run.call[1].id, ("image_id",), ()),
        "--again": case("--again", lambda run: run.call[1].train, "", "settings.csv"),
        "--write": case(
            "--write",
            lambda run: [call[1] for call in run.calls if call.name == "keep"],
            [ROOT / "pyproject.toml"],
            [],
        ),
        **reporting(),
    },
)
REHEARSE = Command(
    functions=("bundler.rehearse.rehearsal:run",),
    options={
        "--units": case("--units 9", option("units"), 9),
        "--patients": case("--patients 9", option("units"), 9),
        "--budget": case("--budget 90", option("budget"), 90.0, 40.0),
        "--quick": case("--quick", option("quick"), True, False),
        "--competition-dir": case("--competition-dir .", folder_name("competition_dir"), "", DATA),
        "--target": case(
            "--target host",
            lambda run: run.call[0].settings.target,
            ("host",),
            ("settings-target",),
        ),
        "--competition": case(
            "--competition x",
            lambda run: run.call[0].settings.competition,
            "x",
            "settings-competition",
        ),
        "--run": Case(
            words=("--run", "python predict.py"),
            pick=lambda run: run.call[0].settings.run,
            value="python predict.py",
            default=None,
        ),
        "--hidden-units": case(
            "--hidden-units 5", lambda run: run.call[0].settings.hidden_units, 5, 77
        ),
        "--hidden-images": case(
            "--hidden-images 5", lambda run: run.call[0].settings.hidden_units, 5, 77
        ),
        "--time-limit-hours": case(
            "--time-limit-hours 2", lambda run: run.call[0].settings.time_limit_hours, 2.0, 3.0
        ),
        "--layout": case("--layout legacy", option("layouts"), ("legacy",), ("new", "legacy")),
        "--python": case("--python pyproject.toml", option("python"), Path("pyproject.toml")),
        "--dist": case("--dist other", option("dist"), Path("other"), ROOT / "dist"),
        "--out": case("--out o", option("out"), Path("o"), ROOT / "dist" / "rehearsal"),
        "--backend": case("--backend podman", option("backend"), "podman"),
        "--image": case("--image name@sha256:0", option("image"), "name@sha256:0"),
        "--stall-minutes": case("--stall-minutes 2", option("stall_seconds"), 120.0, 300.0),
        **reporting(),
    },
)
PUBLISH = Command(
    functions=("bundler.publish.bundles:publish",),
    options={
        "kinds": case(
            "model code",
            lambda run: run.call[2].kinds,
            ("model", "code"),
            (),  # those that the notebook is made for
        ),
        "--from-kernel": case(
            "cache --from-kernel a/b", lambda run: run.call[2].from_kernel, "a/b"
        ),
        **dist(at(1), ROOT / "dist"),
        **reporting(),
    },
)


def pushing(function: str) -> Command:
    """Return a mode of `push`."""
    return Command(
        functions=(function,),
        options={
            "--no-wait": case("--no-wait", at("follow"), False, True),
            **dist(at(1), ROOT / "dist"),
            **reporting(),
        },
    )


def submit_option(name: str) -> Pick:
    """Return what picks a field of a submission's options."""
    return lambda run: getattr(run.call[1], name)


SUBMIT = Command(
    functions=("bundler.publish.submit:submit", "bundler.publish.submit:plan"),
    options={
        "-m": case("-m text", submit_option("message"), "text", ""),
        "--message": case("--message text", submit_option("message"), "text", ""),
        "--dry-run": case("--dry-run", name_of_call, "plan", "submit"),
        "--no-rehearse": case("--no-rehearse", submit_option("rehearse"), False, True),
        "--no-wait": case("--no-wait", submit_option("wait"), False, True),
        "--python": case(
            "--python pyproject.toml", submit_option("python"), Path("pyproject.toml")
        ),
        "--competition-dir": case(
            "--competition-dir x",
            lambda run: submit_option("competition_dir")(run).name,
            "x",
            DATA,
        ),
        "--allow-dirty": case("--allow-dirty", submit_option("allow_dirty"), True, False),
        **reporting(),
    },
)
HISTORY = Command(
    functions=("bundler.publish.submit:update", "bundler.publish.history:load"),
    progress=False,
    options={"--update": case("--update", name_of_call, "update", "load"), **reporting()},
)
INIT = Command(
    functions=("bundler.init:init",),
    progress=False,
    options={
        "--owner": case("--owner me", lambda run: run.call[1].owner, "me"),
        "--competition": case("--competition x", lambda run: run.call[1].competition, "x"),
        "--competition-dir": case(
            "--competition-dir x", lambda run: run.call[1].competition_dir, Path("x")
        ),
        "--target": case("--target host", lambda run: run.call[1].target, "host"),
        "--prefix": case("--prefix p", lambda run: run.call[1].prefix, "p"),
        **reporting(),
    },
)
CAPTURE = Command(
    functions=(
        "bundler.image.captured:capture",
        "bundler.image.captured:capture_script",
        "bundler.publish.notebooks:capture",
    ),
    progress=False,
    options={
        "--out": case("--out o.json", at(1), Path("o.json")),
        "--name": case("--name n", at(0), "n", "captured"),
        "--script": case("--script", name_of_call, "capture_script", "capture"),
        "--push": case("--push", lambda run: len(run.call.arguments), 4, 2),
        **reporting(),
    },
)


def training(module: str) -> Command:
    """Return a subcommand of `train`, which passes everything on."""
    command = case("--help a=1 -x --json", lambda run: run.call[0][3:], None, ["-m", module])
    value = ["-m", module, "--help", "a=1", "-x", "--json"]
    return Command(
        functions=("bundler.process:become",),
        progress=False,
        options={"arguments": replace(command, value=value)},
    )


COMMANDS: Mapping[str, Command] = {
    "init": INIT,
    "libs": LIBS,
    "model": MODEL,
    "model show": Command(
        functions=("bundler.model.show:show",),
        progress=False,
        base=("a.onnx",),
        options={"file": case("b.onnx", at(0), Path("b.onnx"), Path("a.onnx")), **reporting()},
    ),
    "code": CODE,
    "notebook": Command(functions=NOTEBOOK_SUBMISSION.functions, options={}, progress=False),
    "notebook submission": NOTEBOOK_SUBMISSION,
    "notebook train": NOTEBOOK_TRAIN,
    "notebook libs": NOTEBOOK_LIBS,
    "competition": COMPETITION,
    "rehearse": REHEARSE,
    "publish": PUBLISH,
    "push": Command(functions=("bundler.publish.push:push",), options={}),
    "push submission": pushing("bundler.publish.push:push"),
    "push train": pushing("bundler.publish.notebooks:push_training"),
    "push libs": pushing("bundler.publish.notebooks:push_libs"),
    "submit": SUBMIT,
    "status": Command(functions=("bundler.publish.status:look",), options=reporting()),
    "history": HISTORY,
    "doctor": Command(functions=("bundler.doctor:examine",), progress=False, options=reporting()),
    "target": Command(functions=(), options={}, progress=False),
    "target capture": CAPTURE,
    "target make": Command(
        functions=("bundler.image.making:make",),
        progress=False,
        base=("--name", "n", "--base", "a.txt", "--layer", ".", "--out", "o.json"),
        options={
            "--name": case("--name m", option("name"), "m", "n"),
            "--base": case("--base b.txt", option("base"), Path("b.txt"), Path("a.txt")),
            "--layer": case("--layer data", option("layer"), Path("data"), Path(".")),
            "--like": case(
                "--like host --like a", option("like"), ("host", "a"), ("settings-target",)
            ),
            "--python": case("--python 3.14.1", option("python"), "3.14.1"),
            "--image": case("--image x@sha256:0", option("image"), "x@sha256:0"),
            "--seen": case("--seen a==1 --seen b==2", option("seen"), ("a==1", "b==2"), ()),
            "--out": case("--out p.json", option("out"), Path("p.json"), Path("o.json")),
            **reporting(),
        },
    ),
    "target show": Command(
        functions=("bundler.image.target:load",),
        progress=False,
        options={
            "name": case("host", at(0), "host", "settings-target"),
            **reporting(),
        },
    ),
    "train": Command(functions=(), options={}, progress=False),
    "train phantom": training("train.phantom"),
    "train prepare": training("train.prepare"),
    "train run": training("train.run"),
    "train sync": training("train.sync"),
    "target diff": Command(
        functions=("bundler.image.target:load", "bundler.image.difference:between"),
        progress=False,
        base=("a", "b"),
        options={
            "old": case("c b", lambda run: run.calls[0][0], "c", "a"),
            "new": case("a c", lambda run: run.calls[1][0], "c", "b"),
            **reporting(),
        },
    ),
}
