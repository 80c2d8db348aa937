"""The engine on both stores and among real processes, without a JVM: disk, and S3 on the stand-in."""

from tests.account import account
from tests.stores import aws_endpoint, root, s3

__all__ = ["account", "aws_endpoint", "root", "s3"]
