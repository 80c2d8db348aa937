"""Transforms: a table's SQL over pinned versions of its inputs, applied to a branch by the contract's strategy.

Not here: bronze (`lakehouse.bronze`), publishing (`lakehouse.pipeline`).
"""
