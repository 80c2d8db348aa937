"""What a job is told, by arguments, and what it says when that makes no sense."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.jobs import order, work
from lakehouse.jobs.order import Order, OrderWrong, ReportMissing
from lakehouse.pipeline.batch import Batch, Run

END = datetime(2025, 10, 2, tzinfo=UTC)
RUN = Run("daily/scheduled__2025-10-01 with a blank", "scheduled", END, datetime(2025, 10, 1, tzinfo=UTC))


def test_an_order_survives_its_arguments():
    for asked in (
        Order(("silver.orders", "gold.fact_sales"), RUN, "publish", "s3a://lake/_jobs/x y", "aws", "/home/x"),
        Order(("silver.orders",), Run("by hand", "manual", END)),
    ):
        assert order.parse(asked.arguments()) == asked


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--end", "2025-10-02"], "--end"),
        (["--kind", "never"], "--kind"),
        (["--through", "gate"], "--through"),
        (["--day", "1"], "--day"),
    ],
)
def test_a_wrong_argument_is_named(wrong, told):
    with pytest.raises(OrderWrong, match=told):
        order.parse([*Order(("silver.orders",), RUN).arguments(), *wrong])


def test_batches_and_reports_go_through_the_folder(tmp_path):
    batch = Batch("bronze.orders", "b", 1, "a-1", RUN, END, counts={"extracted": 3})
    place = str(tmp_path / "job")
    assert order.take(place) == {}
    order.give(place, [batch])
    assert order.take(place) == {"bronze.orders": batch}
    with pytest.raises(ReportMissing, match="left no report"):
        order.read_report(place)


def test_an_error_is_in_the_report(tmp_path, monkeypatch):
    place = str(tmp_path / "job")
    arguments = Order(("silver.orders",), RUN, folder=place).arguments()

    def stumble(asked):
        raise LakehouseError("silver.orders: it broke.", "Mend it.")

    def break_(asked):
        raise ValueError("the row of Ann")

    monkeypatch.setattr(work, "do", stumble)
    monkeypatch.setattr(work, "_configure", lambda asked: None)
    assert work.main(arguments, "lakehouse-x") == 1
    told = {"type": "LakehouseError", "what": "silver.orders: it broke.", "remedy": "Mend it."}
    assert order.read_report(place) == {"package": "lakehouse-x", "error": told}
    monkeypatch.setattr(work, "do", break_)
    assert work.main(arguments, "lakehouse-x") == 1
    assert "Ann" not in str(order.read_report(place))


def test_a_job_does_not_extract():
    with pytest.raises(OrderWrong, match=r"cannot extract: bronze.orders"):
        work.do(Order(("silver.orders", "bronze.orders"), RUN, "publish"))
