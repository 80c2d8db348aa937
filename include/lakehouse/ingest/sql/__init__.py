"""Feeds of SQL databases: windows of a cursor in keyset slices, each one range query, streamed as Arrow.

`feed` is the feed, `keyset` the slices' SQL, `snowflake` and `redshift` what the engines differ in, `conform` stable
Arrow types, `unload` the way round by server-side export, `faults` what went wrong in a person's words.
"""
