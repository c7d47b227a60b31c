"""Figures of age verification: whom a check at an age of 18 would let pass.

As NIST's FATE AEV counts: a person is let pass without a question if the estimated age is at least the *challenge*
age, which lies above the legal one because estimates err. A minor who passes is a false positive. Ranges of ages count
where all of the range lies on one side of the legal age.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agepred_train.evaluation.predictions import Answers

LEGAL_AGE = 18
CHALLENGE_AGE = 25
TEENAGERS = (13, 17)
"""First and last year of the minors who are hardest to tell."""


def verification(answers: Answers) -> dict[str, Any]:
    """Return shares that pass at CHALLENGE_AGE, each as {n, share, low, high}; a share of none is None.

    `minors` and `teenagers` are false positives, `adults` true ones; `genders`, `races` and `gender_races` split the
    minors. `low` and `high` are the ends of Wilson's 95 % interval.
    """
    oldest, youngest = answers.column("age_max"), answers.column("age_min")
    passes = answers.column("age") >= CHALLENGE_AGE
    minors = oldest < LEGAL_AGE
    genders = np.array([row.gender for row in answers.rows])
    races = np.array([row.race for row in answers.rows])
    both = np.array([f"{row.gender} {row.race}" if row.gender and row.race else "" for row in answers.rows])
    return {
        "minors": _share(passes[minors]),
        "teenagers": _share(passes[(youngest >= TEENAGERS[0]) & (oldest <= TEENAGERS[1])]),
        "adults": _share(passes[youngest >= LEGAL_AGE]),
        "genders": _by_word(genders, minors, passes),
        "races": _by_word(races, minors, passes),
        "gender_races": _by_word(both, minors, passes),
    }


def wilson_interval(count: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's interval of a share (Journal of the American Statistical Association 22, 1927); z for 95 %."""
    share = count / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    reach = z / (1 + z * z / total) * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


def _by_word(
    words: NDArray[np.str_], minors: NDArray[np.bool_], passes: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    known = sorted({str(word) for word in words[minors] if word})
    return {word: _share(passes[minors & (words == word)]) for word in known}


def _share(passes: NDArray[np.bool_]) -> dict[str, Any]:
    if not len(passes):
        return {"n": 0, "share": None, "low": None, "high": None}
    low, high = wilson_interval(int(passes.sum()), len(passes))
    return {"n": len(passes), "share": float(passes.mean()), "low": low, "high": high}
