"""What each table of the product promises, by name: a rule that is dropped from a contract is missed here."""

from __future__ import annotations

import pytest

from tests.unit.test_tables import CONTRACTS, every_table

#: Rules beyond a column's own not_null; those that only warn are marked.
PROMISED = {
    "bronze.behavior_events": "event_ts_in_calendar event_type_known event_ts_not_future volume_as_usual? "
    "rows_as_the_source_says",
    "bronze.customers": "customer_id_is_a_customer email_wellformed segment_known",
    "bronze.order_items": "quantity_positive unit_price_not_negative discount_within_line amount_within_reach "
    "volume_as_usual? rows_as_the_source_says prices_as_the_source_says",
    "bronze.orders": "order_ts_in_calendar status_known currency_known volume_as_usual? rows_as_the_source_says",
    "bronze.products": "product_id_is_a_product list_price_not_negative currency_known",
    "gold.dim_customer": "segment_known has_rows one_current_version versions_do_not_overlap unknown_member_present "
    "valid_from_before_valid_to customer_sk_unique",
    "gold.dim_date": "every_day_of_six_years date_key_unique",
    "gold.dim_product": "currency_known has_rows one_current_version versions_do_not_overlap unknown_member_present "
    "valid_from_before_valid_to product_sk_unique",
    "gold.fact_behavior": "date_key_references customer_sk_references product_sk_references event_type_known has_rows "
    "signed_in_customers_resolved? fewer_purchases_than_views? event_id_unique",
    "gold.fact_sales": "date_key_references customer_sk_references product_sk_references status_known currency_known "
    "quantity_positive net_amount_not_negative usd_rate_plausible has_rows amounts_add_up "
    "average_order_value_plausible? net_amount_reconciles? usd_amount_reconciles? sales_are_of_the_day? "
    "lines_as_usual? customers_resolved? products_resolved? "
    "order_id_line_number_unique",
    "silver.accounts": "account_id_unique",
    "silver.behavior_events": "event_type_known customer_id_references? product_id_references? event_id_unique",
    "silver.contacts": "account_id_references? contact_id_unique",
    "silver.customer_activity": "cancelled_within_orders customer_id_unique",
    "silver.customers": "segment_known customer_id_unique",
    "silver.exchange_rates": "rate_positive stretches_last stretches_do_not_overlap "
    "base_currency_currency_valid_from_unique",
    "silver.order_items": "order_id_references? product_id_references? quantity_positive line_amount_not_negative "
    "order_id_line_number_unique",
    "silver.orders": "customer_id_references? status_known currency_known usd_rate_known? order_id_unique",
    "silver.products": "currency_known product_id_unique",
}


@pytest.mark.parametrize("name", PROMISED)
def test_the_rules_of_a_table(name: str) -> None:
    rules = [rule for rule in CONTRACTS[name].rules if rule.kind != "not_null"]
    assert {f"{r.name}{'?' if r.severity == 'warning' else ''}" for r in rules} == set(PROMISED[name].split())


@every_table
def test_what_is_required_is_checked(name: str) -> None:
    required = {f"{column.name}_not_null" for column in CONTRACTS[name].columns if column.required}
    assert {rule.name for rule in CONTRACTS[name].rules if rule.kind == "not_null"} == required
    assert required, name
