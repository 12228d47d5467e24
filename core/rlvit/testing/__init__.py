"""Conformance suites: what every part of a plugin must do, as test classes to inherit.

    from rlvit.testing import SelectorSuite

    class TestMySelector(SelectorSuite):
        name = "my-selector"

pytest finds the rules in it; `rlvit plugins check NAME` goes through the same ones for everything
that an installed plugin offers.
"""

from rlvit.testing.backbones import BackboneSuite
from rlvit.testing.check import check_plugin
from rlvit.testing.evaluators import EvaluatorSuite
from rlvit.testing.methods import MethodSuite
from rlvit.testing.network import no_network
from rlvit.testing.plugins import PluginSuite, TrackerSuite
from rlvit.testing.rewards import RewardSuite
from rlvit.testing.sections import SectionSuite
from rlvit.testing.selectors import SelectorSuite
from rlvit.testing.suite import Finding, Suite, findings
from rlvit.testing.tasks import TaskSuite

__all__ = [
    "BackboneSuite",
    "EvaluatorSuite",
    "Finding",
    "MethodSuite",
    "PluginSuite",
    "RewardSuite",
    "SectionSuite",
    "SelectorSuite",
    "Suite",
    "TaskSuite",
    "TrackerSuite",
    "check_plugin",
    "findings",
    "no_network",
]
