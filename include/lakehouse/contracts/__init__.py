"""Table contracts: Open Data Contract Standard 3.1 files, parsed, checked and turned into rules.

Not here: what happens to a row that breaks a rule (`lakehouse.bronze`, `lakehouse.quality`).
"""

from lakehouse.contracts.errors import ContractError
from lakehouse.contracts.model import Column, Contract, Rule, Source
from lakehouse.contracts.parse import load_contract

__all__ = ["Column", "Contract", "ContractError", "Rule", "Source", "load_contract"]
