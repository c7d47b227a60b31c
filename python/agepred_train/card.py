"""The model card: what a released model is for, what it was made from, and how well it does on whom.

Every figure comes from the release's metrics.json. What was not measured is named as missing, not left out.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agepred_train import card_tables
from agepred_train.evaluation.headlines import years
from agepred_train.evaluation.subgroups import GAP_PICTURES
from agepred_train.evaluation.verification import CHALLENGE_AGE, LEGAL_AGE
from agepred_train.known_sets import KnownSet, sets_of, title_of
from agepred_train.markdown import table
from agepred_train.resume import FROM_RUN
from agepred_train.start_weights import describe_weights
from agepred_train.unseen import BY_NAME, OTHER_SET, SAME_SPLITS

Metrics = Mapping[str, Any]

_SUMMARY = """\
Estimates how old the faces in a picture are: a distribution over the ages 0 to 116, by a MobileNetV2 from an aligned
crop of {side} pixels. `int8.onnx` is for devices; `fp32.onnx` is its unquantized sibling. This card is generated from
`metrics.json`, which holds all of its figures."""

_INTENDED = """\
Statistics over groups of people (visitors, audiences), sorting one's own photographs, research and teaching, on small
devices and without sending pictures anywhere. It tells the *apparent* age: what people guess from the face. Every
answer comes with a distribution, a standard deviation and an interval; use them."""

_UNINTENDED = """\
- **No age assurance.** It must not decide who may buy, enter or see something: single answers are years off, and more
  for some people than for others (below).
- No identification of people, no decisions about single persons (work, insurance, asylum, police).
- No medical or forensic statement about true or biological age.
- No drawings, statues or masks, and no faces seen from the side: such answers mean nothing."""

_COUNTED = """\
Counted through the same `predict` that users call: the largest face answers for its picture, no picture is left out, no
age is rounded, and a picture without a face is answered with the median age of training. Errors are answered minus
labeled age in years, so a positive bias is taken for older. Intervals in parentheses are of 95 %, by the bootstrap of
{resamples:,} resamples; that of a difference is paired. Differences of shares are in percentage points.
docs/evaluation.md of the project defines every figure."""

_VERIFIED = """\
What a check at an age of {legal} would do that lets pass whoever looks {challenge} or older. It measures the model and
is no license to let one decide. Intervals of 95 % are Wilson's."""

_GAP = """\
At one mix of ages (21 to 60, pairs with {pictures} pictures or more, race "other" left out) the worst pair's MAE is
{int8} years above the best one's with int8, {fp32} with fp32."""

_CALIBRATED = """\
A temperature and offsets of the ends by age were fitted on validation pictures and stand in the files, so that
intervals hold what they claim on pictures like those; the tables say what they hold elsewhere."""

_NOT_CALIBRATED = """\
Intervals are quantiles of the network's distribution, not calibrated; the tables say how often they held."""

_TERMS = """\
Terms differ and are stated apart; none replaces another. Whether weights that were trained on these pictures may serve
commercially is a question for a lawyer, not for this card."""

_LIMITS = """\
- Apparent ages are judgments. A model cannot be more right than its labels, nor be shown to be: part of every error
  above is theirs.
- Pictures were collected on the web. On others (studio portraits, cameras in rooms, other parts of the world) errors
  differ, and figures of one set do not carry over to another, as the table at the top shows.
- Copies of one picture may lie on both sides of a split. `agepred data` finds and parts them where training reads its
  table; training on a set itself keeps them.
- Labels of gender and race, too, were assigned by others; the tables show where the model fails more, not who anybody
  is."""

_EXPECTED = {
    "utkface-test": "UTKFace's split `test`, with the CORAL test list",
    "fairface_test": "FairFace photographs with context (`fairface_test`)",
    "portraits": "studio portraits (`portraits`)",
}
"""Evaluations that every release should have, by the names of their sets."""

_UNSEEN = {
    OTHER_SET: "no archive of it was trained on",
    SAME_SPLITS: "training read the same splits and left `test` alone",
    BY_NAME: "each picture was looked up in the table of the training: none was trained on or chosen by",
}


def write_card(metrics: Metrics) -> str:
    """Return the card as Markdown, from the content of a release's metrics.json."""
    evaluations = metrics["evaluations"]
    resamples = next(iter(evaluations.values()))["bootstrap"]["resamples"]
    parts = [
        f"# {metrics['name']} {metrics['version']}",
        _SUMMARY.format(side=metrics["record"]["recipe"]["crop_side"]),
        card_tables.headlines(evaluations),
        _beside_the_table(evaluations),
        _COUNTED.format(resamples=resamples),
        _missing(evaluations),
        "## Intended use",
        _INTENDED,
        "## Unintended use",
        _UNINTENDED,
        "## Data and terms",
        _training(metrics),
        "## By age",
        *_each(evaluations, card_tables.decades),
        *_each(evaluations, lambda one: card_tables.ranges(one, "by_range")),
        "## By gender and race",
        *_each(evaluations, _subgroups),
        *_each(evaluations, lambda one: card_tables.ranges(one, "by_group")),
        "## Calibration",
        _CALIBRATED if all(row["calibrated"] for row in metrics["files"].values()) else _NOT_CALIBRATED,
        *_each(evaluations, card_tables.calibration),
        "## Age verification",
        _VERIFIED.format(legal=LEGAL_AGE, challenge=CHALLENGE_AGE),
        *_each(evaluations, card_tables.verification),
        *_degraded(evaluations),
        "## Limits",
        _labels(evaluations) + "\n" + _LIMITS,
        "## Files",
        _files(metrics),
        *_commands(metrics),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _each(evaluations: Mapping[str, Any], write: Callable[[Any], str]) -> Iterable[str]:
    """Yield what is written of every evaluation, each under its set; nothing where there is nothing."""
    for evaluation in evaluations.values():
        if text := write(evaluation):
            yield f"**{title_of(evaluation['data'])}**"
            yield text


def _beside_the_table(evaluations: Mapping[str, Any]) -> str:
    """Return what the numbers of each set need to be read: without a face, the constant, why none was seen."""
    lines = []
    for evaluation in evaluations.values():
        figures = evaluation["figures"]["int8"]
        said = [f"{figures['no_face']} without a face"]
        if figures["unreadable"]:
            said[0] += f", {figures['unreadable']} of these not to be decoded"
        if evaluation["constant_mae"] is not None:
            median = f"{evaluation['median_train_age']:g}"
            said.append(f"answering {median} for everybody would be {years(evaluation['constant_mae'])} years off")
        apart = evaluation["int8_minus_fp32"]
        said.append(
            f"ages of int8 and fp32 are {years(apart['mean_age_difference'])} years apart on average, "
            f"{apart['max_age_difference']:.1f} at most"
        )
        said.append(_UNSEEN[evaluation["unseen"]])
        lines.append(_item(f"{title_of(evaluation['data'])}: {'; '.join(said)}."))
    return "\n".join(lines)


def _missing(evaluations: Mapping[str, Any]) -> str:
    """Return what was not measured for this release; empty where nothing is missing."""
    absent = [words for name, words in _EXPECTED.items() if name not in evaluations]
    if not any(evaluation["degraded"] for evaluation in evaluations.values()):
        absent.append("blurred, compressed, dark and otherwise degraded pictures")
    return f"**Not measured for this release:** {'; '.join(absent)}." if absent else ""


def _training(metrics: Metrics) -> str:
    record, pictures = metrics["record"], metrics["pictures"]
    recipe, best = record["recipe"], record["best"]
    choice = "; ".join(_chosen(best))
    parts = [
        _filled(
            f"{best['train_samples']:,} pictures trained the network, each with one face found by "
            f"`{record['detector']['name']}`. Recipe `{recipe['name']}`: {recipe['epochs']} epochs in batches of "
            f"{recipe['batch_size']}; soft labels with a standard deviation of {recipe['label_sigma']:g} years. The "
            f"best epoch was chosen on {best['val_samples']:,} pictures of `val` ({choice}). `test` was used for no "
            "choice."
        ),
        _sets(record, pictures),
        _TERMS,
        "\n".join(
            [
                "- Code and this file's packaging: MIT.",
                _item(_lineage(record)),
                *(_item(_other_run(one)) for one in metrics["teachers"]),
            ]
        ),
    ]
    return "\n\n".join(parts)


def _chosen(best: Mapping[str, float]) -> Iterable[str]:
    """Yield the best epoch's validation figures in words."""
    yield f"MAE {years(best['val_mae'])} years"
    for name, value in best.items():
        if name.startswith("val_inside_"):
            yield f"{100 * value:.1f} % inside of the ranges of {name.removeprefix('val_inside_')}"


def _sets(record: Mapping[str, Any], pictures: Mapping[str, Mapping[str, int]] | None) -> str:
    rows = []
    for name, known in sets_of(record["data"]["sha256"]).items():
        counts = (pictures or {}).get(name)
        numbers = [f"{counts[split]:,}" for split in ("train", "val", "test", "drop")] if counts else ["-"] * 4
        rows.append([_title(name, known), *numbers, known.terms, known.labels])
    return table(["training data", "train", "val", "test", "dropped", "terms", "labels"], rows)


def _title(name: str, known: KnownSet) -> str:
    return known.title or f"`{name}` (none that is known here)"


def _lineage(record: Mapping[str, Any]) -> str:
    """Return what a training began from, and which runs taught it."""
    began = describe_weights(record["start_weights_sha256"])
    if record.get(FROM_RUN):
        began = f"The weights were trained from those of the run with sha256 {record['start_weights_sha256']}."
    teachers = record.get("teachers_sha256")
    return f"{began} It was also taught by the runs with sha256 {', '.join(teachers)}." if teachers else began


def _other_run(run: Mapping[str, Any]) -> str:
    """Return what taught or was begun from, and of which sets under which terms: they bear on the weights as much."""
    record = run["record"]
    sets = [f"{_title(name, known)} ({known.terms})" for name, known in sets_of(record["data"]["sha256"]).items()]
    backbone = record["recipe"].get("backbone", "mobilenet_v2")
    return f"Run with sha256 {run['sha256']}: {backbone}, trained on {', '.join(sets)}. {_lineage(record)}"


def _subgroups(evaluation: Mapping[str, Any]) -> str:
    text = card_tables.subgroups(evaluation)
    gaps = {key: row["subgroup_gap"] for key, row in evaluation["figures"].items()}
    if not text or None in gaps.values():
        return text
    said = {key: years(row["gap"]) for key, row in gaps.items()}
    return f"{text}\n\n{_GAP.format(pictures=GAP_PICTURES, **said)}"


def _degraded(evaluations: Mapping[str, Any]) -> list[str]:
    parts = list(_each(evaluations, card_tables.degraded))
    return ["## Degraded pictures", *parts] if parts else []


def _labels(evaluations: Mapping[str, Any]) -> str:
    """Return a line a set that was measured on: what its labels do not support."""
    known = {
        _title(name, one): one
        for evaluation in evaluations.values()
        for name, one in sets_of(evaluation["data"]["sha256"]).items()
    }
    return "\n".join(_item(f"Labels of {title}: {one.labels}.") for title, one in known.items())


def _files(metrics: Metrics) -> str:
    record = metrics["record"]
    rows = [[f"`{name}`", f"{row['bytes']:,}", f"`{row['sha256']}`"] for name, row in metrics["files"].items()]
    rows.append([f"face detector `{record['detector']['name']}`", "", f"`{record['detector']['sha256']}`"])
    if record["detector"]["points_sha256"]:
        rows.append(["refiner of its points", "", f"`{record['detector']['points_sha256']}`"])
    if record["start_weights_sha256"]:
        rows.append(["start weights", "", f"`{record['start_weights_sha256']}`"])
    rows += [[f"training: `{name}`", "", f"`{digest}`"] for name, digest in record["data"]["sha256"].items()]
    measured = {
        name: digest
        for evaluation in metrics["evaluations"].values()
        for name, digest in evaluation["data"]["sha256"].items()
        if digest not in record["data"]["sha256"].values()
    }
    rows += [[f"evaluation: `{name}`", "", f"`{digest}`"] for name, digest in measured.items()]
    return table(["file", "bytes", "sha256"], rows)


def _commands(metrics: Metrics) -> list[str]:
    """Return how it was made, where that was told."""
    if not metrics["commands"]:
        return []
    return ["## How it was made", "\n".join(["```sh", *metrics["commands"], "```"])]


def _filled(text: str) -> str:
    """Return text in lines of a width to be read; hashes and names stay whole."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> str:
    """Return text as an item of a list."""
    return textwrap.fill(
        text, 120, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
