"""The library's declared lineage as OpenLineage values, for the provider's listener."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


def of_step(step: str, tables: Iterable[str]) -> OperatorLineage:
    """Inputs and outputs of `step` over `tables`."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    from lakehouse import lineage
    from lakehouse.contracts import load_contract
    from lakehouse.paths import contract_folder

    steps = [lineage.of_step(step, load_contract(contract_folder(name))) for name in tables]
    return OperatorLineage(
        inputs=[_dataset(d) for s in steps for d in s.inputs],
        outputs=[_dataset(d) for s in steps for d in s.outputs],
    )


def _dataset(dataset: Any) -> Any:
    from airflow.providers.common.compat.openlineage.facet import Dataset, SchemaDatasetFacet, SchemaDatasetFacetFields

    fields = [SchemaDatasetFacetFields(name=name, type=kind) for name, kind in dataset.columns]
    facets = {"schema": SchemaDatasetFacet(fields=fields)} if fields else {}
    return Dataset(namespace=dataset.namespace, name=dataset.name, facets=facets)
