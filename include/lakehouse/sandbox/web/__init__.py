"""The stand-ins behind HTTP in one server: Salesforce as simple_salesforce speaks to it, and an exchange rate API.

Rows lie in one SQLite file that the shop writes (`store`); paging, throttling, expiry and drift are had for the asking
(`faults`). Not a Salesforce: login, describe, query and queryAll with the SOQL of an extract are all it knows.
"""
