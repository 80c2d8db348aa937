"""Bronze: landed rows, judged by the contract, become new rows of an append-only log; the bad ones go to quarantine.

Not here: extraction (`lakehouse.ingest`) and publishing (`lakehouse.pipeline`).
"""
