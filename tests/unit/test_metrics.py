"""Figures as CloudWatch reads them, and what the alarms and the dashboard make of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chalice.package import YAMLTemplateSerializer

from chalicelib import logs, metrics
from tests.unit.log_lines import STAGE, lines

if TYPE_CHECKING:
    from tests.unit.log_lines import Lines

__all__ = ["lines"]

PROJECT = Path(__file__).resolve().parents[2]
UNITS = {"Count", "Seconds", "Milliseconds"}
"""Those of CloudWatch's units that are used."""


def health() -> dict[str, Any]:
    """The template of alarms and dashboard."""
    template: dict[str, Any] = YAMLTemplateSerializer().load_template(
        (PROJECT / ".chalice" / "health.yaml").read_text()
    )
    return template


def alarms() -> dict[str, dict[str, Any]]:
    """Every alarm's properties."""
    resources = health()["Resources"]
    return {
        name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"
    }


@pytest.mark.parametrize("figure", metrics.FIGURES)
def test_a_figure_stands_in_the_embedded_metric_format(figure: str, lines: Lines) -> None:
    """The rules of CloudWatch's own specification: what breaks one is silently no metric."""
    logs.logger("x").info("counted", extra={"facts": {"provider": "google"}, "figures": {figure: 3}})

    (line,) = lines.all()
    assert set(line["_aws"]) == {"Timestamp", "CloudWatchMetrics"}
    assert isinstance(line["_aws"]["Timestamp"], int)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert directive["Namespace"] == "Mailgrant"
    assert directive["Metrics"] == [{"Name": figure, "Unit": directive["Metrics"][0]["Unit"]}]
    assert directive["Metrics"][0]["Unit"] in UNITS
    assert line[figure] == 3
    (dimensions,) = directive["Dimensions"]
    assert dimensions
    for dimension in dimensions:
        assert isinstance(line[dimension], str)
        assert line[dimension]


def test_figures_of_one_line_are_told_by_their_dimensions(lines: Lines) -> None:
    logs.logger("x").info("counted", extra={"figures": {"Sent": 1, "Unknown": 2, "AcceptTime": 5}})

    directives = lines.all()[0]["_aws"]["CloudWatchMetrics"]
    told = {
        tuple(directive["Dimensions"][0]): [metric["Name"] for metric in directive["Metrics"]]
        for directive in directives
    }
    assert told == {("stage", "provider"): ["Sent"], ("stage",): ["Unknown", "AcceptTime"]}
    assert (lines.all()[0]["stage"], lines.all()[0]["provider"]) == (STAGE, "none")


def test_a_line_without_figures_is_only_a_line(lines: Lines) -> None:
    logs.logger("x").info("said", extra={"figures": {}})

    assert "_aws" not in lines.text


def test_an_unknown_figure_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        metrics.embedded({"Typo": 1}, 0)


def test_nothing_that_grows_with_the_mailboxes_is_a_dimension() -> None:
    """Each value of a dimension is billed as a metric of its own."""
    used = {dimension for _, dimensions in metrics.FIGURES.values() for dimension in dimensions}

    assert used == {"stage", "provider"}


def test_every_figure_is_explained_and_drawn() -> None:
    body = health()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]

    for figure in metrics.FIGURES:
        assert f"\n{figure} " in (metrics.__doc__ or "")
        assert f'"{figure}"' in body or f'\\"{figure}\\"' in body


def test_the_dashboard_is_json_with_widgets_that_lie_side_by_side() -> None:
    body = json.loads(health()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])

    taken: set[tuple[int, int]] = set()
    for widget in body["widgets"]:
        across = range(widget["x"], widget["x"] + widget["width"])
        cells = {(x, y) for x in across for y in range(widget["y"], widget["y"] + widget["height"])}
        assert not cells & taken
        assert max(across) < 24
        taken |= cells


def test_alarms_watch_figures_that_there_are() -> None:
    own = {name: one for name, one in alarms().items() if one["Namespace"] == metrics.NAMESPACE}

    assert {one["MetricName"] for one in own.values()} == {
        "OldestDue",
        "Unknown",
        "RefreshFailures",
        "AccountsNeedOwner",
        "NearestExpiry",
    }
    for one in own.values():
        dimensions = tuple(dimension["Name"] for dimension in one["Dimensions"])
        assert metrics.FIGURES[one["MetricName"]][1] == dimensions


def test_every_function_is_watched_for_errors() -> None:
    watched = {
        one["Dimensions"][0]["Value"]["Ref"] for one in alarms().values() if one["MetricName"] == "Errors"
    }

    functions = {"APIHandler", "Connect", "Tokens", "RefreshTokens", "Refresh", "Send", "Relay", "RelayDue"}
    assert watched == functions


def test_every_alarm_tells_the_topic_when_it_comes_and_when_it_goes() -> None:
    topic = [{"Ref": "AlarmTopic"}]

    for name, one in alarms().items():
        assert one["AlarmActions"] == one["OKActions"] == topic, name
        assert one["AlarmDescription"], name
        assert one["TreatMissingData"] in {"breaching", "notBreaching"}, name
    assert len({json.dumps(one["AlarmName"]) for one in alarms().values()}) == len(alarms())


def test_a_schedule_that_stopped_is_an_alarm() -> None:
    """What the schedules tell is missing then, which counts as bad."""
    missed = {one["MetricName"] for one in alarms().values() if one["TreatMissingData"] == "breaching"}

    assert missed == {"OldestDue", "AccountsNeedOwner"}


def test_all_of_it_can_be_switched_off_and_costs_what_is_said() -> None:
    template, text = health(), (PROJECT / ".chalice" / "health.yaml").read_text()

    assert {one["Condition"] for one in template["Resources"].values()} == {"HasAlarms", "HasAlarmEmail"}
    assert f"these {len(alarms())}" in text.replace("\n# ", " ")
    assert f"${len(alarms()) / 10:.2f} at most" in text.replace("\n# ", " ")
    assert f"each of {len(alarms())} alarms" in template["Parameters"]["Alarms"]["Description"]
