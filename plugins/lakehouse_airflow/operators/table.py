"""What the operators share: the table they work on, its contract, their lineage, errors that no retry can mend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from lakehouse_airflow.pages import LedgerLink, QuarantineLink

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from lakehouse.contracts import Contract


class TableOperator(BaseOperator):
    """A step of one table.

    :param table: `layer.table`, the name of its folder.
    """

    #: Name of the step, as logs and lineage know it.
    step = ""
    template_fields: Sequence[str] = ("table",)
    operator_extra_links = (LedgerLink(), QuarantineLink())

    def __init__(self, *, table: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table

    @property
    def contract(self) -> Contract:
        """The table's contract, read anew: a task works by the contract of its day."""
        from lakehouse.contracts import load_contract
        from lakehouse.paths import contract_folder

        return load_contract(contract_folder(self.table))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage:
        """Inputs and outputs, declared from contract and SQL."""
        from lakehouse_airflow.lineage import of_step

        return of_step(self.step, self._tables())

    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete

    def _tables(self) -> list[str]:
        return [self.table]


def without_retry(step: Callable[[], Any], *errors: type[Exception]) -> Any:
    """Run `step`; an error that only a person can mend fails the task at once, retries or not."""
    try:
        return step()
    except errors as error:
        raise AirflowFailException(str(error)) from error


def batches_by_table(values: Sequence[dict[str, Any]] | None) -> dict[str, Any]:
    """{table: Batch} of batches that came by XCom."""
    from lakehouse.pipeline.batch import Batch

    return {value["table"]: Batch.from_dict(value) for value in values or ()}
