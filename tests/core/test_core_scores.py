"""Holds precision, recall and F1 to numbers computed by hand and to scikit-learn's."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from rlvit.scores import weighted_scores


def test_scores_are_those_computed_by_hand() -> None:
    label = np.array([0, 0, 0, 1, 1, 2])
    prediction = np.array([0, 0, 1, 1, 0, 0])
    # Of class 0: 2 of 4 answers, 2 of 3 images; of 1: 1 of 2, 1 of 2; of 2: never given.
    precision, recall, f1 = weighted_scores(prediction, label, 3)
    assert precision == pytest.approx(100 * (3 * 0.5 + 2 * 0.5) / 6)
    assert recall == pytest.approx(50)  # 3 of 6 right
    assert f1 == pytest.approx(100 * (3 * 4 / 7 + 2 * 0.5) / 6)


def test_all_right_is_100_and_all_wrong_0() -> None:
    label = np.array([1, 0, 3, 3])
    assert weighted_scores(label, label, 5) == (100.0, 100.0, 100.0)
    assert weighted_scores((label + 1) % 5, label, 5) == (0.0, 0.0, 0.0)


@given(
    st.integers(1, 6).flatmap(
        lambda classes: st.tuples(
            st.just(classes),
            st.lists(
                st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1
            ),
        )
    )
)
def test_scores_are_scikit_learns(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = case
    prediction, label = np.array(pairs, dtype=np.int64).T
    theirs = precision_recall_fscore_support(
        label, prediction, labels=range(classes), average="weighted", zero_division=0
    )
    expected = [100 * float(score) for score in theirs[:3]]
    assert weighted_scores(prediction, label, classes) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("prediction", "label", "expected"),
    [
        ([], [], "one or more"),
        ([0, 1], [0], "as many predictions as labels"),
        ([[0]], [[0]], "as many predictions as labels"),
        ([0, 3], [0, 1], "classes from 0 to 2"),
        ([0, 1], [0, -1], "classes from 0 to 2"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    prediction: list[int], label: list[int], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        weighted_scores(np.array(prediction, np.int64), np.array(label, np.int64), 3)


def test_the_catalogue_does_not_import_it() -> None:
    code = (
        "import sys; from rlvit.manager import create_plugin_manager;"
        "from rlvit.catalog import build_catalog; build_catalog(create_plugin_manager());"
        "print(sorted({'numpy', 'rlvit.scores'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
