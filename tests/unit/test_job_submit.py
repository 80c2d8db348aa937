"""What starts a job: arguments for spark-submit and EMR Serverless, both from one manifest."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from lakehouse.jobs import order, submit
from lakehouse.jobs.order import Order
from lakehouse.jobs.submit import Placed, SubmitRefused
from lakehouse.pipeline.batch import Run

RUN = Run("by hand", "manual", datetime(2025, 10, 2, tzinfo=UTC))
ASKED = Order(("silver.orders",), RUN, folder="s3a://lake/_jobs/1")
PACKAGE = Placed("s3a://p/lakehouse-0.zip", "s3a://p/lakehouse-0.py", ("g:a:1", "g:b:2"), ("g:c",), {"spark.x": "y"})


def test_spark_submit_has_the_archive_the_settings_and_the_order():
    argv = submit.spark_submit(PACKAGE, ASKED, "spark://m:7077", {"spark.x": "z", "spark.cores.max": "2"})
    told = dict(zip(argv[: argv.index(PACKAGE.entry)][::2], argv[: argv.index(PACKAGE.entry)][1::2], strict=True))
    assert (told["--master"], told["--deploy-mode"], told["--py-files"]) == (
        "spark://m:7077",
        "client",
        PACKAGE.archive,
    )
    assert order.parse(argv[argv.index(PACKAGE.entry) + 1 :]) == ASKED
    settings = dict(text.split("=", 1) for name, text in pairwise(argv) if name == "--conf")
    assert settings == {
        "spark.x": "z",
        "spark.cores.max": "2",
        "spark.jars.packages": "g:a:1,g:b:2",
        "spark.jars.excludes": "g:c",
    }


def test_jars_that_are_told_are_not_resolved():
    assert submit.spark_settings(PACKAGE, {"spark.jars": "local:/x.jar"}) == {
        "spark.x": "y",
        "spark.jars": "local:/x.jar",
    }


@pytest.mark.parametrize("name", ["spark.hadoop.fs.s3a.secret.key", "spark.authenticate.secret", "spark.x.Password"])
def test_a_setting_that_holds_a_secret_is_refused_and_not_shown(name: str):
    with pytest.raises(SubmitRefused, match=name) as refused:
        submit.spark_settings(PACKAGE, {name: "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_what_emr_cannot_take_is_refused():
    with pytest.raises(SubmitRefused, match=r"cannot read /x/lakehouse-0.zip"):
        submit.emr_job_driver(Placed("/x/lakehouse-0.zip", "/x/lakehouse-0.py", (), ()), ASKED)
    with pytest.raises(SubmitRefused, match="more than 10280 characters"):
        submit.emr_job_driver(PACKAGE, Order(("silver.orders",), Run("x" * 10281, "manual", RUN.end)))
    with pytest.raises(SubmitRefused, match="takes 100 settings, not 103"):
        submit.emr_overrides(PACKAGE, "s3://x/", {f"spark.n{n}": "x" for n in range(100)})


def test_a_manifest_that_cannot_be_used_is_told(tmp_path: Path):
    file = tmp_path / "lakehouse-0.json"
    with pytest.raises(SubmitRefused, match="There is no package"):
        submit.placed(str(file))
    file.write_text("<html>")
    with pytest.raises(SubmitRefused, match="is no manifest"):
        submit.placed(str(file))
    file.write_text(json.dumps({"format": 0}))
    with pytest.raises(SubmitRefused, match="of another release"):
        submit.placed(str(file))
