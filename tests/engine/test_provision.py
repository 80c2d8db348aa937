"""The account follows the contracts: compared and made so over the real clients, against the stand-in."""

from __future__ import annotations

import json

import pytest
import structlog
from typer.testing import CliRunner

from lakehouse import config, provision
from lakehouse.cli.confirm import NotConfirmed
from lakehouse.cli.main import app
from lakehouse.contracts import load_contract
from lakehouse.provision.register import register
from tests.account import ANALYST, LATENCY, STEWARD

PII = {"email", "full_name", "phone"}


def actions(rows):
    return [(row["action"], row["kind"], row["key"]) for row in rows]


def test_after_an_apply_there_is_nothing_left_to_do(account):
    planned = account.plan()
    assert {row["action"] for row in planned} == {"create"}
    assert {row["kind"] for row in planned} == {
        "database", "table", "lf-tag", "lf-assignment", "grant", "topic", "subscription", "alarm",
    }  # fmt: skip
    assert actions(account.apply()) == actions(planned)
    assert account.plan() == []
    assert account.apply() == []


def test_a_table_is_what_athena_reads(account):
    account.apply()
    table = account.table("bronze.customers")
    told = table["Parameters"]
    assert table["TableType"] == "EXTERNAL_TABLE"
    assert (told["table_type"], told["spark.sql.sources.provider"], told["EXTERNAL"]) == ("DELTA", "delta", "TRUE")
    assert table["StorageDescriptor"]["Location"] == account.lake.replace("s3a://", "s3://") + "/bronze/customers"
    assert table.get("PartitionKeys", []) == []
    columns = {column["Name"]: column for column in table["StorageDescriptor"]["Columns"]}
    assert columns["customer_id"]["Type"] == "bigint"
    assert columns["updated_at"]["Type"] == "timestamp"
    assert columns["_run_date"]["Type"] == "date"
    assert columns["email"]["Comment"] == "Token of the e-mail address: equal addresses have equal tokens."
    assert told["contract.primaryKey"] == "customer_id"
    assert told["contract.sla.freshness"] == "26 h"
    database = account.client("glue").get_database(Name=f"{account.owner}_bronze")["Database"]
    assert database["CreateTableDefaultPermissions"] == []


def test_a_changed_contract_shows_exactly_its_change_and_what_others_added_stays(account):
    account.apply()
    glue, table = account.client("glue"), account.table("bronze.customers")
    told = {key: table[key] for key in ("Name", "Description", "TableType", "Parameters", "StorageDescriptor")}
    told["Parameters"]["crawler"] = "theirs"
    told["StorageDescriptor"]["Columns"].append({"Name": "region", "Type": "string", "Parameters": {"by": "them"}})
    told["StorageDescriptor"]["SerdeInfo"]["Parameters"]["path"] = "theirs"
    glue.update_table(DatabaseName=f"{account.owner}_bronze", TableInput={**told, "Retention": 7})
    assert account.plan() == []
    account.edit("bronze.customers", "version: 1.0.0", "version: 1.1.0")
    account.edit(
        "bronze.customers",
        "      - name: city\n",
        "      - {name: tier, physicalType: STRING, classification: pseudonymous}\n      - name: city\n",
    )
    (table_row, tags_row) = account.plan()
    assert table_row["differences"] == [
        "columns.tier: None -> {'type': 'string', 'comment': ''}",
        "parameters.contract.version: '1.0.0' -> '1.1.0'",
    ]
    assert tags_row["differences"] == ["columns.tier: None -> 'pseudonymous'"]
    assert actions(account.apply()) == actions([table_row, tags_row])
    assert account.plan() == []
    after = account.table("bronze.customers")
    assert (after["Parameters"]["crawler"], after["Retention"]) == ("theirs", 7)
    assert after["StorageDescriptor"]["SerdeInfo"]["Parameters"]["path"] == "theirs"
    (region,) = [c for c in after["StorageDescriptor"]["Columns"] if c["Name"] == "region"]
    assert region["Parameters"] == {"by": "them"}


def seen(account, principal, table):
    """Columns of `table` that Lake Formation shows to `principal`: by its grants and what the columns carry."""
    lake, (layer, _, short) = account.client("lakeformation"), table.partition(".")
    place = {"DatabaseName": f"{account.owner}_{layer}", "Name": short}
    names = [column["Name"] for column in account.table(table)["StorageDescriptor"]["Columns"]]
    (whole,) = lake.get_resource_lf_tags(Resource={"Table": place})["LFTagsOnTable"]
    told = lake.get_resource_lf_tags(Resource={"TableWithColumns": {**place, "ColumnNames": names}})
    carried = dict.fromkeys(names, (whole["TagKey"], whole["TagValues"][0]))
    carried |= {c["Name"]: (c["LFTags"][0]["TagKey"], c["LFTags"][0]["TagValues"][0]) for c in told["LFTagsOnColumns"]}
    found = set()
    for entry in lake.list_permissions()["PrincipalResourcePermissions"]:
        policy = entry["Resource"].get("LFTagPolicy", {})
        if (entry["Principal"]["DataLakePrincipalIdentifier"], policy.get("ResourceType")) != (principal, "TABLE"):
            continue
        assert "SELECT" in entry["Permissions"]
        (term,) = policy["Expression"]
        found |= {n for n, (key, value) in carried.items() if key == term["TagKey"] and value in term["TagValues"]}
    return found


def test_pii_is_seen_by_who_may_and_what_nobody_looked_at_by_nobody(account):
    account.apply()
    everything = {c["Name"] for c in account.table("bronze.customers")["StorageDescriptor"]["Columns"]}
    assert everything >= PII | {"_extra"}
    assert seen(account, ANALYST, "bronze.customers") == everything - PII - {"_extra"}
    assert seen(account, STEWARD, "bronze.customers") == everything - {"_extra"}
    assert seen(account, ANALYST, "silver.customers").isdisjoint(PII)


def test_who_may_see_less_sees_less_at_once(account):
    account.apply()
    account.set_access(readers=({"principal": STEWARD, "sees": ("internal",)},))
    rows = account.plan()
    assert [row["key"] for row in rows if row["action"] == "update"] == [f"{STEWARD} on TABLE"]
    gone = {row["key"] for row in rows if row["action"] == "remove"}
    assert gone == {f"{ANALYST} on DATABASE", f"{ANALYST} on TABLE"}
    account.apply()
    assert seen(account, STEWARD, "bronze.customers").isdisjoint(PII)
    assert seen(account, ANALYST, "bronze.customers"), "removals are made when asked for"
    account.apply(remove=True)
    assert seen(account, ANALYST, "bronze.customers") == set()
    assert account.plan() == []


def test_a_reader_of_what_no_contract_knows_is_refused(account):
    account.set_access(readers=({"principal": STEWARD, "sees": ("intern",)},))
    with pytest.raises(provision.TargetMissing.__base__, match="is to see intern"):
        account.plan()


def test_removals_are_planned_and_made_only_when_asked(account):
    account.apply()
    account.drop("silver.customers")
    account.set_alarms(mail=("ann@shop.example",))
    gone = {(row["kind"], row["key"].replace(account.owner, "")) for row in account.plan()}
    assert gone == {
        ("table", "_silver.customers"),
        ("database", "_silver"),
        ("alarm", ": silver.customers: dq_critical_failures"),
        ("alarm", ": silver.customers: latency_seconds"),
        ("alarm", ": silver.customers: freshness_seconds"),
    } | {("subscription", key) for key in (row["key"] for row in account.plan()) if key.startswith("b***@")}
    assert account.apply() == []
    assert account.table("silver.customers")
    assert {row["action"] for row in account.apply(remove=True)} == {"remove"}
    assert account.plan() == []
    with pytest.raises(account.client("glue").exceptions.EntityNotFoundException):
        account.table("silver.customers")
    assert account.table("bronze.customers")


def test_a_database_with_tables_of_others_stays(account):
    account.apply()
    account.drop("silver.customers")
    glue, database = account.client("glue"), f"{account.owner}_silver"
    glue.create_table(DatabaseName=database, TableInput={"Name": "theirs", "StorageDescriptor": {"Columns": []}})
    with pytest.raises(provision.ApplyFailed, match="holds tables: theirs"):
        account.apply(remove=True)
    assert [table["Name"] for table in glue.get_tables(DatabaseName=database)["TableList"]] == ["theirs"]
    assert actions(account.plan()) == [("remove", "database", database)]


def test_what_is_there_and_not_ours_is_left_alone_until_it_is_adopted(account):
    glue, watch = account.client("glue"), account.client("cloudwatch")
    glue.create_database(DatabaseInput={"Name": f"{account.owner}_bronze", "Parameters": {"by": "them"}})
    name = f"{account.owner}: bronze.customers: latency_seconds"
    watch.put_metric_alarm(
        AlarmName=name, Namespace="Theirs", MetricName="x", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", Tags=[{"Key": "team", "Value": "theirs"}],
    )  # fmt: skip
    with pytest.raises(provision.ForeignResource, match=f"database {account.owner}_bronze, alarm {name}"):
        account.apply()
    assert glue.get_database(Name=f"{account.owner}_bronze")["Database"]["Parameters"] == {"by": "them"}
    account.apply(adopt=True)
    assert account.plan() == []
    kept = glue.get_database(Name=f"{account.owner}_bronze")["Database"]["Parameters"]
    assert kept == {"by": "them", "managed-by": account.owner}
    (alarm,) = watch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("Lakehouse", "latency_seconds")
    tags = watch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
    assert {"Key": "team", "Value": "theirs"} in tags


def test_alarms_are_as_the_contract_promises(account):
    account.apply()
    found = {
        alarm["AlarmName"].partition("bronze.customers: ")[2]: alarm
        for alarm in account.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{account.owner}: b")["MetricAlarms"]
    }
    assert set(found) == {
        "dq_critical_failures", "latency_seconds", "freshness_seconds", "watermark_lag_seconds", "quarantine_share",
    }  # fmt: skip
    gate = found["dq_critical_failures"]
    assert (gate["Threshold"], gate["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    fresh = found["freshness_seconds"]
    assert fresh["Period"] * fresh["EvaluationPeriods"] == fresh["Threshold"] == 26 * 3600
    assert fresh["TreatMissingData"] == "breaching"
    assert found["quarantine_share"]["Threshold"] == 0.05
    topic = gate["AlarmActions"][0]
    mails = account.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert sorted(mail["Endpoint"] for mail in mails) == ["ann@shop.example", "bob@shop.example"]
    account.edit("bronze.customers", "slaProperties:\n", LATENCY)
    (table, alarm) = account.plan()
    assert table["differences"] == ["parameters.contract.sla.latency: None -> '30 min'"]
    assert "Threshold: 7200.0 -> 1800.0" in alarm["differences"]


def test_no_address_is_in_a_plan(account):
    assert "ann@shop.example" not in str(account.plan())
    assert any(row["key"].startswith("a***@shop.example#") for row in account.plan("alarms"))


def test_a_topic_that_is_there_is_used_and_not_made(account):
    sns = account.client("sns")
    arn = sns.create_topic(Name=f"theirs-{account.owner}")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="them@shop.example")
    account.set_alarms(topic=arn, mail=("ann@shop.example",))
    account.apply()
    assert account.plan() == []
    mails = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert sorted(mail["Endpoint"] for mail in mails) == ["ann@shop.example", "them@shop.example"]
    assert not [t for t in sns.list_topics()["Topics"] if t["TopicArn"].endswith(f":{account.owner}-alarms")]


def test_a_published_table_is_registered_with_what_it_grew(account, monkeypatch):
    from lakehouse.delta import ColumnSpec

    contract = load_contract(account.tables / "bronze" / "customers")
    grown = (ColumnSpec("customer_id", "BIGINT"), ColumnSpec("loyalty", "STRING"), ColumnSpec("_extra", "STRING"))
    monkeypatch.setattr("lakehouse.delta.schema_columns", lambda path: grown)
    assert {change.kind.name for change in register(contract)} == {"database", "table", "lf-tag", "lf-assignment"}
    assert register(contract) == []
    columns = [column["Name"] for column in account.table("bronze.customers")["StorageDescriptor"]["Columns"]]
    assert "loyalty" in columns
    account.apply()
    assert account.plan() == [], "a column that the source grew is no difference"
    assert "loyalty" not in seen(account, STEWARD, "bronze.customers"), "nobody has looked at it yet"
    assert {c["Name"] for c in account.table("bronze.customers")["StorageDescriptor"]["Columns"]} >= {"loyalty"}


def test_the_command_line_plans_applies_and_asks_before_it_removes(account):
    def typed(*words):
        with structlog.testing.capture_logs():
            return CliRunner().invoke(app, ["aws", *words, "--output", "json"])

    planned = json.loads(typed("plan", "--only", "catalog").output)
    assert [row["kind"] for row in planned] == ["database", "database", "table", "table"]
    assert json.loads(typed("apply", "--only", "catalog").output) == planned
    assert json.loads(typed("plan", "--only", "catalog").output) == []
    account.drop("silver.customers")
    assert isinstance(typed("apply", "--only", "catalog", "--remove").exception, NotConfirmed)
    gone = json.loads(typed("apply", "--only", "catalog", "--remove", "--yes").output)
    assert [(row["action"], row["kind"]) for row in gone] == [("remove", "table"), ("remove", "database")]


def test_a_configuration_without_the_section_says_what_to_do(account):
    account.target = None
    config.settings.cache_clear()
    with pytest.raises(provision.TargetMissing, match="LAKEHOUSE_CONFIG=aws"):
        account.plan()
