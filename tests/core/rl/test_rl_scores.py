"""Human-normalised scores."""

import pytest

from rlvit.rl.scores import human_normalised


@pytest.mark.parametrize(
    ("score", "normalised"), [(68.4, 0.0), (42054.7, 1.0), (21061.55, 0.5), (558.1, 0.0116639)]
)
def test_seaquest(score: float, normalised: float) -> None:
    assert human_normalised(score, 68.4, 42054.7) == pytest.approx(normalised, abs=1e-6)


def test_refuses_equal_references() -> None:
    with pytest.raises(ValueError, match="nothing to normalise"):
        human_normalised(1.0, 5.0, 5.0)
