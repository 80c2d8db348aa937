"""The shop's Salesforce: accounts of companies, contacts of customers who buy for one, opportunities with them.

A contact follows its customer: changed when the customer is, deleted when the customer leaves. Commit times are whole
seconds, as Salesforce's are. Writes to the world; knows nothing of broken rows (see `faults`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from lakehouse.sandbox.shop.model import Row, money
from lakehouse.sandbox.shop.names import COUNTRIES, CURRENCY, FAMILY, INDUSTRIES, STAGES
from lakehouse.sandbox.shop.world import Span, World, some

#: Prefixes of Salesforce's ids by table, and the length of an id.
PREFIXES = {"salesforce_accounts": "001", "salesforce_contacts": "003", "salesforce_opportunities": "006"}
ID_LENGTH = 18
#: Customers an account is shared by, and opportunities of a day.
SHARED, DAY_OPPORTUNITIES = 5, 16
#: Rows that the nightly jobs touch, all with one commit time.
NIGHTLY = 12


def salesforce_id(table: str, number: int) -> str:
    """The id of the `number`-th record of a table, as Salesforce writes ids."""
    prefix = PREFIXES[table]
    return prefix + str(number).rjust(ID_LENGTH - len(prefix), "0")


def contact(customer: Row, account: str, at: datetime) -> Row:
    """The contact of a customer."""
    return {
        "Id": salesforce_id("salesforce_contacts", customer["customer_id"]),
        "AccountId": account,
        "ShopCustomerId__c": customer["customer_id"],
        "Email": customer["email"],
        "Name": customer["full_name"],
        "Phone": customer["phone"],
        "MailingCity": customer["city"],
        "IsDeleted": customer["is_deleted"],
        "SystemModstamp": at,
    }


def opportunity(rng: Random, number: int, account: Row, at: datetime) -> Row:
    """A new deal with a company."""
    return {
        "Id": salesforce_id("salesforce_opportunities", number),
        "AccountId": account["Id"],
        "StageName": STAGES[0],
        "Amount": money(rng.randrange(50_000, 5_000_000)),
        "CurrencyIsoCode": CURRENCY.get(account["BillingCountry"], "EUR"),
        "IsDeleted": False,
        "SystemModstamp": at,
    }


def crm_of(world: World, span: Span) -> None:
    """One day of Salesforce."""
    rng = span.rng("crm")
    _contacts(world, span, rng)
    _opportunities(world, span, rng)
    # A nightly job commits all its rows at midnight sharp: equal cursors on the window's edge.
    for table in PREFIXES:
        for row in _calm(world, table, rng, world.config.size(NIGHTLY, least=2)):
            world.put(table, {**row, "SystemModstamp": span.high})


def _contacts(world: World, span: Span, rng: Random) -> None:
    known = world.current["salesforce_contacts"]
    # The first day's import commits everything at one time: equal cursors across the pages of an answer.
    imported = span.low + timedelta(minutes=45)
    for number in sorted(world.touched["customers"]):
        customer = world.current["customers"][number]
        there = known.get(salesforce_id("salesforce_contacts", number))
        if there is None and (customer["segment"] == "consumer" or customer["is_deleted"]):
            continue
        at = imported if span.first else span.moment(rng)
        account = there["AccountId"] if there else _account(world, rng, number, customer, at)
        row = contact(customer, account, at)
        world.put("salesforce_contacts", row)
        if row["IsDeleted"]:
            world.plant(span.n, "salesforce_contacts", "deleted_record", row)


def _account(world: World, rng: Random, customer_number: int, customer: Row, at: datetime) -> str:
    """The account of a customer's company, made where it is the first to come from there."""
    identity = salesforce_id("salesforce_accounts", customer_number // SHARED)
    if identity not in world.current["salesforce_accounts"]:
        world.put(
            "salesforce_accounts",
            {
                "Id": identity,
                "Name": f"{rng.choice(FAMILY)} & {rng.choice(FAMILY)} {rng.choice(('GmbH', 'Ltd', 's.r.o.', 'Inc.'))}",
                "Industry": rng.choice(INDUSTRIES),
                "BillingCountry": customer["country"] if customer["country"] in COUNTRIES else COUNTRIES[0],
                "Rating": rng.choice(("Hot", "Warm", "Cold")),
                "IsDeleted": False,
                "SystemModstamp": at,
            },
        )
    return identity


def _opportunities(world: World, span: Span, rng: Random) -> None:
    accounts = [world.current["salesforce_accounts"][key] for key in sorted(world.current["salesforce_accounts"])]
    size = world.config.size(DAY_OPPORTUNITIES if span.live else DAY_OPPORTUNITIES / 4, least=3)
    for _ in range(size if accounts else 0):
        at = span.moment(rng)
        number = world.counters["opportunities"] = world.counters.get("opportunities", 0) + 1
        world.put("salesforce_opportunities", opportunity(rng, number, rng.choice(accounts), at))
    for row in _calm(world, "salesforce_opportunities", rng, size):
        rank = STAGES.index(row["StageName"])
        if rank < STAGES.index("Closed Won"):
            stage = STAGES[rank + rng.choice((1, 1, 1, 2)) if rank < 2 else rank + rng.choice((1, 2))]
            world.put("salesforce_opportunities", {**row, "StageName": stage, "SystemModstamp": span.moment(rng)})
    if span.live:
        for row in _calm(world, "salesforce_opportunities", rng, 1):
            gone = {**row, "IsDeleted": True, "SystemModstamp": span.moment(rng)}
            world.put("salesforce_opportunities", gone)
            world.plant(span.n, "salesforce_opportunities", "deleted_record", gone)


def _calm(world: World, table: str, rng: Random, count: int) -> list[Row]:
    """Up to `count` records that are there and were not changed today."""
    current, touched = world.current[table], world.touched[table]
    keys = sorted(key for key, row in current.items() if key not in touched and not row["IsDeleted"])
    return [current[key] for key in some(rng, keys, count)]
