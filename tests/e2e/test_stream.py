"""The stream through the real scheduler, by the form as it opens, and what is loaded of it."""

from __future__ import annotations

from contextlib import closing

import pytest
from deltalake import DeltaTable

from lakehouse import connections, ledger, paths
from lakehouse.sandbox import topic
from lakehouse.sandbox.kafka import SHOP_EVENTS
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.rest import Airflow
from lakehouse.stream.records import Records
from tests.e2e.conftest import Platform, ends_green
from tests.platform import bring_back

DAG, TABLE = "lakehouse_stream", "bronze.shop_events"


@pytest.mark.long(50)
def test_a_trigger_as_the_form_opens_loads_what_the_topic_has(platform: Platform, airflow: Airflow) -> None:
    bring_back(platform.home, stream=True)
    port = connections.get("kafka_default").port or 0
    sent = topic.send(port, Layout(platform.home).kafka, 1)
    for _ in range(2):
        ends_green(airflow, DAG)
        table = DeltaTable(paths.table(TABLE)).to_pyarrow_table(columns=["kafka_partition", "kafka_offset"])
        (load, *_) = [e for e in ledger.read(TABLE) if e.event == "published"]
        # The second run finds nothing new.
        assert table.num_rows + load.counts["quarantined"] == sent
    with closing(connections.open_source("kafka_default")) as broker:
        there = broker.topic(SHOP_EVENTS)
    landed = Records(paths.records(TABLE)).pieces().landed(there.id)
    assert landed == {partition: high for partition, (_, high) in there.offsets.items() if high}
