"""The model card: what a released model is for, what it was made from, and how well it does on whom."""

from typing import Any

from agepred_train.evaluation.figures import CARD_SCORES
from agepred_train.markdown import table
from agepred_train.start_weights import describe_weights

_SUMMARY = """\
Estimates how old the faces in a picture are: a distribution over the ages 0 to 116, by MobileNetV2 from an
aligned crop of {side} pixels. `int8.onnx` is for devices; `fp32.onnx` is its unquantized sibling. This card
is generated from `metrics.json`."""

_INTENDED = """\
Statistics over groups of people (visitors, audiences), sorting one's own photographs, research and
teaching, on small devices and without sending pictures anywhere. It tells the *apparent* age: what people
guess from the face. Every answer comes with a distribution, a standard deviation and an interval; use them.
"""

_OUT_OF_SCOPE = """\
- **No age assurance.** It must not decide who may buy, enter or see something: single answers are years
  off, and more for some people than for others (below).
- No identification of people, no decisions about single persons (work, insurance, asylum, police).
- No medical or forensic statement about true or biological age.
- No drawings, statues or masks, and no faces seen from the side: such answers mean nothing.
"""

_TERMS = """\
The terms of the parts differ; they are stated apart and none replaces another.

- Code and this file's packaging: MIT.
- {start_weights}
- Training data: UTKFace, published for non-commercial research only; its authors do not own the pictures.
  Whether weights trained on it may serve commercially is a question for a lawyer, not for this card.
"""

_CAVEATS = """\
- The labels of UTKFace were estimated by a network and checked by people. They are apparent ages with
  errors of their own, and so are the ages measured against them here.
- The pictures were collected on the web. On other pictures (studio portraits, cameras in rooms, other
  parts of the world) errors are larger; figures on UTKFace do not carry over.
- Some pictures of `test` have near-duplicates in `train`. `agepred data` finds them and leaves them out where training
  reads its table; training on the set itself does not.
- The eldest are few in training and are taken for younger. Young adults tend to be taken for older.
- The gender and race labels, too, were assigned by others; the tables show where the model fails more, not
  who anybody is.
"""

_CALIBRATED = """\
A temperature and offsets of the ends by age were fitted on the split `val` and stand in the files, so that intervals
hold what they claim on pictures like those of the training set; on others they hold less."""

_NOT_CALIBRATED = """\
Intervals are quantiles of the network's distribution, not calibrated; the table says how often they held."""


def write_card(metrics: dict[str, Any]) -> str:
    """Return the card as Markdown, from the content of a release's metrics.json."""
    title = f"# {metrics['name']} {metrics['version']}"
    return (
        "\n\n".join(
            [
                title,
                _SUMMARY.format(side=metrics["record"]["recipe"]["crop_side"]),
                "## Intended use",
                _INTENDED.strip(),
                "## Out of scope",
                _OUT_OF_SCOPE.strip(),
                "## Training",
                _training(metrics["record"]),
                "## Terms",
                _TERMS.strip().format(start_weights=describe_weights(metrics["record"]["start_weights_sha256"])),
                "## Results",
                _results(metrics),
                "## Uncertainty",
                _uncertainty(metrics),
                "## Factors",
                _factors(metrics),
                "## Caveats",
                _CAVEATS.strip(),
                "## How it was made",
                "\n".join(["```sh", *metrics["commands"], "```"]),
            ]
        )
        + "\n"
    )


def _training(record: dict[str, Any]) -> str:
    recipe, cleaning, best = record["recipe"], record["cleaning"], record["best"]
    return (
        f"{best['train_samples']:,} pictures of UTKFace's split `train`, after dropping "
        f"{cleaning['no_face']} without a face, {cleaning['several_faces']} with several, "
        f"{cleaning['small_face']} with a small one and {cleaning['corrupt']} that could not be decoded.\n"
        f"Faces were found by `{record['detector']['name']}`.\n"
        f"Recipe `{recipe['name']}`: {recipe['epochs']} epochs in batches of {recipe['batch_size']}, soft "
        f"labels with a standard deviation of {recipe['label_sigma']:g} years.\n"
        f"The best epoch was chosen on {best['val_samples']:,} pictures of `val` (MAE {best['val_mae']:.2f} "
        "years). `test` was used for no choice."
    )


def _results(metrics: dict[str, Any]) -> str:
    columns = list(metrics["test"].values())
    n, no_face, unreadable = (columns[0][key] for key in ("n", "no_face", "unreadable"))
    damaged = f" ({unreadable} of them could not be decoded)" if unreadable else ""
    difference = metrics["int8_against_fp32"]
    rows = [
        ("MAE, years", "mae", "{:.2f}"),
        ("MAE on the CORAL test list, years", "coral_test_mae", "{:.2f}"),
        *((f"share within {limit} year{'s' if limit > 1 else ''}", f"cs@{limit}", "{:.1%}") for limit in CARD_SCORES),
        ("right one of four groups (0-25, 26-50, 51-75, 76-116)", "group_accuracy", "{:.1%}"),
        ("80 % intervals that hold the label", "interval_coverage", "{:.1%}"),
        ("mean width of these intervals, years", "interval_width", "{:.1f}"),
    ]
    body = [[title, *(_number(column[key], form) for column in columns)] for title, key, form in rows]
    return (
        f"All {n:,} pictures of UTKFace's split `test`, none left out, through the same `predict` that users "
        f"call; the largest face counts; the {no_face} without a face{damaged} were answered with the median age "
        "of `train`.\n\n"
        + table(["", *metrics["test"]], body)
        + "\n\nOn the same pictures the ages of int8 and fp32 differ by "
        f"{difference['mean_age_difference']:.2f} years on average and by "
        f"{difference['max_age_difference']:.1f} at most."
    )


def _uncertainty(metrics: dict[str, Any]) -> str:
    name, figures = next(iter(metrics["test"].items()))
    levels = figures["calibration"]["intervals"]
    bands = list(next(iter(levels.values()))["bands"])
    body = [
        [f"{float(level):.0%}", _number(row["coverage"], "{:.1%}"), _number(row["width"], "{:.1f}")]
        + [_number(row["bands"][band]["coverage"], "{:.1%}") for band in bands]
        for level, row in levels.items()
    ]
    head = f"`{name}` on the same pictures: the share of labels that intervals hold, and by the label's age."
    columns = ["intervals", "hold", "mean width, years", *(f"{band} years" for band in bands)]
    return "\n\n".join([_CALIBRATED if metrics["calibrated"] else _NOT_CALIBRATED, head, table(columns, body)])


def _factors(metrics: dict[str, Any]) -> str:
    name, figures = next(iter(metrics["test"].items()))
    tables = [
        table(
            [title, "pictures", "MAE", "mean error"],
            [
                [part, f"{row['n']:,}", _number(row["mae"], "{:.2f}"), _number(row["bias"], "{:+.2f}")]
                for part, row in figures[key].items()
            ],
        )
        for title, key in (("age", "bands"), ("gender", "genders"), ("race (labels of UTKFace)", "races"))
    ]
    head = f"`{name}` on the same pictures, in years; a positive mean error means taken for older."
    return "\n\n".join([head, *tables])


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
