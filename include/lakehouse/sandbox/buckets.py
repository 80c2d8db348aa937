"""Buckets of the S3 stand-in, which has none when it starts."""

from __future__ import annotations

from typing import Any


def make(s3: Any, name: str) -> None:
    """Make the bucket `name`, unless it is there."""
    if name not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
