"""The engine on both stores and among real processes, without a JVM: disk, and S3 on the stand-in."""

from tests.stores import aws_endpoint, root, s3

__all__ = ["aws_endpoint", "root", "s3"]
