"""What the shop's apps send to the topic shop.events: every fifth visit of the web shop, seen from a telephone.

The same configuration gives the same records, with their own times: sent twice they are there twice, and count once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lakehouse.sandbox import ports
from lakehouse.sandbox.kafka import SHOP_EVENTS
from lakehouse.sandbox.shop import Shop, ShopConfig

#: The last day that was sent, in the broker's folder.
SENT = ".sent"


def send(port: int, folder: Path, n: int, config: ShopConfig | None = None) -> int:
    """Send what the apps send up to day `n` and have not sent yet; how many records. `folder` is the broker's.

    A day that broke off is sent again whole.
    """
    from confluent_kafka import Producer

    mark, shop, count = folder / SENT, Shop(config), 0
    producer = Producer({"bootstrap.servers": f"{ports.HOST}:{port}", "linger.ms": 50, "log_level": 0})
    for day in range(int(mark.read_text()) + 1 if mark.is_file() else 0, n + 1):
        for event in _events(shop, day):
            at = event.pop("loaded_at")
            value = json.dumps(event, default=lambda moment: f"{moment.isoformat()}Z")
            producer.produce(SHOP_EVENTS, key=event["session_id"], value=value, timestamp=int(at.timestamp() * 1000))
            producer.poll(0)
            count += 1
        producer.flush(60)
        mark.write_text(str(day))
    return count


def _events(shop: Shop, day: int) -> list[dict[str, Any]]:
    """The day's events of the visits that were made by telephone, as events of their own."""
    found = []
    for row in shop.day(day).changes["behavior_events"].rows():
        # What has no event_id was planted as a fault of the warehouse's copy.
        if row["event_id"] and str(row["session_id"])[-1:] in "048":
            found.append({**row, "event_id": f"app-{row['event_id']}", "session_id": f"app-{row['session_id']}"})
    return found
