"""`rsna-bundle model`: checkpoints → one ONNX model, or any files as they are → a bundle."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bundler.cli import model_config
from bundler.cli.model_options import (
    CHOICE_OPTIONS,
    EXPORT_OPTIONS,
    NETWORK_OPTIONS,
    TRAINING_OPTIONS,
    config_option,
    dry_run_option,
    files_option,
    write_config_option,
)
from bundler.cli.options import (
    ANY_PATH,
    add,
    fill,
    out_option,
    publish_option,
    refuse_options,
    reporting,
)
from bundler.cli.reports import Output
from bundler.model.options import ModelOptions
from bundler.settings import Settings

SEVERAL = ("--files", "--ckpt")  # options that a shell's pattern may give many values


class ModelGroup(click.Group):
    """A group whose options --files and --ckpt take several paths each: `--files *.pth`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments as if each path had its own option."""
        return super().parse_args(ctx, spread(args, self.commands))


def spread(arguments: Sequence[str], commands: Container[str]) -> list[str]:
    """Return arguments in which each path after --files or --ckpt has the option before it.

    The paths end at the next option, and at the name of a command.
    """
    spread: list[str] = []
    option = None
    for argument in arguments:
        if argument.startswith("-") or argument in commands:
            option = argument if argument in SEVERAL else None
        if option and spread and spread[-1] not in SEVERAL and not argument.startswith("-"):
            spread.append(option)
        spread.append(argument)
    return spread


@click.group(cls=ModelGroup, invoke_without_command=True)
@add(
    (
        files_option,
        config_option,
        write_config_option,
        *CHOICE_OPTIONS,
        *NETWORK_OPTIONS,
        *TRAINING_OPTIONS,
        *EXPORT_OPTIONS,
        dry_run_option,
    )
)
@out_option("dist/model")
@publish_option
@reporting
@click.pass_context
def model(
    context: click.Context,
    /,
    files: tuple[Path, ...],
    config: Path | None,
    write_config: Path | None,
    dry_run: bool,
    out: Path | None,
    publish: bool,
    output: Output,
    **values: Any,
) -> None:
    """Export checkpoints to ONNX, compare with torch, and bundle.

    The file carries its history: checkpoints, metrics, preprocessing, what was compared.
    With --files, bundle any files and folders as they are, for a command of your own.
    """
    if context.invoked_subcommand:
        refuse_options(context)
        return
    if files:
        _bundle_files(context, files, out, publish, output)
        return
    from bundler.model import export

    settings: Settings = context.obj
    if config:
        _refuse_beside_config(context)
        options = model_config.read(config, settings, output.progress)
    else:
        options = _fill(values, settings, output)
    if write_config:
        output.report(model_config.write(write_config, context))
        return
    if dry_run:
        output.report(export.choose(options))
        return
    folder = out or settings.dist / "model"
    built = export.build(options, folder)
    output.report_built(settings, built, folder, publish=publish)


def _fill(values: Mapping[str, Any], settings: Settings, output: Output) -> ModelOptions:
    """Return the options of the command line. Raises UsageError where they name no checkpoint."""
    mine = {"root": settings.root, "several": (), "progress": output.progress}
    options = fill(ModelOptions, {**values, **mine})
    choice = options.choice
    if not (choice.checkpoints or choice.run or choice.best or choice.onnx):
        raise click.UsageError(
            "Name a checkpoint or a folder of them with --ckpt, an MLflow run with --run or "
            "--best, an ONNX file with --onnx, an ensemble's file with --config, or any files "
            "with --files."
        )
    return options


def _refuse_beside_config(context: click.Context) -> None:
    others = _given_but(context, {"config", "dry_run", "out", "publish", "as_json", "quiet"})
    if others:
        raise click.UsageError(
            f"--config takes the options from its file, so {', '.join(others)} cannot be used with "
            "it. Write them into the file."
        )


def _given_but(context: click.Context, allowed: Container[str]) -> list[str]:
    """Return the options of the command line that are not among those that are allowed."""
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if str(parameter.name) not in allowed
        and context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]


def _bundle_files(
    context: click.Context, files: tuple[Path, ...], out: Path | None, publish: bool, output: Output
) -> None:
    """Bundle files as they are; options that shape an export make no sense beside them."""
    from bundler.model import files as model_files

    others = _given_but(context, {"files", "out", "publish", "as_json", "quiet"})
    if others:
        raise click.UsageError(
            f"--files bundles files as they are, so {', '.join(others)} cannot be used with it."
        )
    settings: Settings = context.obj
    folder = out or settings.dist / "model"
    options = model_files.FilesOptions(paths=files, out=folder, progress=output.progress)
    output.report_built(settings, model_files.build(options), folder, publish=publish)


@model.command()
@click.argument("file", type=ANY_PATH)
@reporting
def show(file: Path, output: Output) -> None:
    """Show what a model was made from.

    FILE is an ONNX file or the folder of a model bundle.
    """
    from bundler.model import show as model_show

    output.report(model_show.show(file))
