"""Scores of classifiers that need more than each image's own answer."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z_95 = NormalDist().inv_cdf(0.975)


def wilson_interval(share: Any, n: int, z: float = Z_95) -> tuple[Any, Any]:
    """Return the ends of the interval of shares of `n` trials, such as an accuracy.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".

    Args:
        share: of successes, a number or an array of them.
        n: trials, 1 at least.
        z: quantile of the normal distribution; by default that of 95 % in the middle.
    """
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = np.minimum(share, centre - reach), np.maximum(share, centre + reach)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def weighted_scores(
    prediction: NDArray[np.int64], label: NDArray[np.int64], classes: int
) -> tuple[float, float, float]:
    """Return precision, recall and F1 in %: means over the classes, weighted by their images.

    A class that is never predicted has precision 0, and with it F1 0. The weighted recall is the
    share of images named rightly. Same as scikit-learn's `precision_recall_fscore_support` with
    average="weighted" and zero_division=0.

    Args:
        prediction: [S] the class given to each image, 0 to `classes` - 1.
        label: [S] the class it has.
        classes: how many there are.

    Raises:
        ValueError: there is no image, the lengths differ, or a class is out of range.
    """
    if prediction.shape != label.shape or label.ndim != 1 or not len(label):
        shapes = f"{prediction.shape} and {label.shape}"
        raise ValueError(f"expected as many predictions as labels, one or more, got {shapes}")
    if min(prediction.min(), label.min()) < 0 or max(prediction.max(), label.max()) >= classes:
        raise ValueError(f"expected classes from 0 to {classes - 1} alone")
    # The diagonal of the confusion matrix and its two margins, [classes] each.
    right = np.bincount(label[prediction == label], minlength=classes)
    given = np.bincount(prediction, minlength=classes)
    there = np.bincount(label, minlength=classes)
    # Where a denominator is 0, so is `right`: 0 / 1 is the wanted 0.
    precision, recall = right / np.maximum(given, 1), right / np.maximum(there, 1)
    f1 = 2 * right / np.maximum(given + there, 1)

    def mean(of_classes: NDArray[np.float64]) -> float:
        return 100 * float(of_classes @ there) / len(label)

    return mean(precision), mean(recall), mean(f1)
