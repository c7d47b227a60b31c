"""The commands of agepred, put together."""

from typing import Annotated

import typer

from agepred_cli import (
    ablate,
    answer,
    calibrate,
    data,
    eval_detector,
    evaluate,
    explain,
    export,
    key_figures,
    label_faces,
    predict,
    quantize,
    release,
    release_detector,
    train,
    train_detector,
    version,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        for line in version.version_lines():
            typer.echo(line)
        raise typer.Exit


@app.callback(epilog=predict.EXAMPLES)
def agepred(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Report versions, the processor's features and the models' hashes.",
        ),
    ] = False,
) -> None:
    """Tell how old the faces in photographs are, and make the models that tell it."""


app.command(epilog=predict.EXAMPLES)(predict.predict)
app.command(epilog=data.EXAMPLES)(data.data)
app.command(epilog=train.EXAMPLES)(train.train)
app.command(epilog=export.EXAMPLES)(export.export)
app.command(epilog=quantize.EXAMPLES)(quantize.quantize)
app.command(epilog=calibrate.EXAMPLES)(calibrate.calibrate)
app.command(epilog=answer.EXAMPLES)(answer.answer)
app.command("eval", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(epilog=explain.EXAMPLES)(explain.explain)
app.command(epilog=ablate.EXAMPLES)(ablate.ablate)
app.command("key-figures", epilog=key_figures.EXAMPLES)(key_figures.key_figures)
app.command("label-faces", epilog=label_faces.EXAMPLES)(label_faces.label_faces)
app.command("train-detector", epilog=train_detector.DETECTOR_EXAMPLES)(train_detector.train_detector)
app.command("train-refiner", epilog=train_detector.REFINER_EXAMPLES)(train_detector.train_refiner)
app.command("eval-detector", epilog=eval_detector.EXAMPLES)(eval_detector.eval_detector)
app.command("export-detector", epilog=release_detector.EXPORT_EXAMPLES)(release_detector.export_detector)
app.command("release-detector", epilog=release_detector.RELEASE_EXAMPLES)(release_detector.release_detector)
app.command(epilog=release.EXAMPLES)(release.release)
