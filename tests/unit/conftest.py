"""Stores for tests without a JVM."""

from tests.stores import aws_endpoint, root, s3

__all__ = ["aws_endpoint", "root", "s3"]
