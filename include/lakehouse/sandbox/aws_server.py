"""Amazon's stand-in: moto's server, made to keep promises to clients that write one name at once.

S3: of several who create one name, one does. SSM: every write of a parameter has a version of its own. Moto looks at
what is there, then writes; here nobody comes between. Of 8 clients that put the same name with If-None-Match at once,
plain moto told two that they had won about once in a hundred times. Lake Formation: what carries no LF-tag has none,
where plain moto breaks down, and what was granted twice can be revoked.

    python -m lakehouse.sandbox.aws_server --host 127.0.0.1 --port 5000
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any


def serve() -> None:
    """Run until it is ended."""
    from moto.lakeformation.models import LakeFormationBackend, PermissionCatalog
    from moto.s3.responses import S3Response
    from moto.server import main
    from moto.ssm.responses import SimpleSystemManagerResponse

    writing = threading.RLock()

    def one_at_a_time(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
            with writing:
                return method(self, *args, **kwargs)

        return locked

    # What creates an object: a PUT, a copy, and the end of an upload in parts (among other POSTs).
    for name in ("put_object", "copy_object", "_key_response_post"):
        setattr(S3Response, name, one_at_a_time(getattr(S3Response, name)))
    SimpleSystemManagerResponse.put_parameter = one_at_a_time(SimpleSystemManagerResponse.put_parameter)
    begin = LakeFormationBackend.__init__

    def untagged(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.lf_database_tags, self.lf_table_tags = defaultdict(list), defaultdict(list)

    LakeFormationBackend.__init__ = untagged
    add = PermissionCatalog.add_permission

    def found_again(self: Any, permission: Any) -> None:
        add(self, permission)
        # What was there has changed, and with it its hash: one by one, as a set of a set keeps the old ones.
        self.permissions = set(iter(self.permissions))

    PermissionCatalog.add_permission = found_again
    main()


if __name__ == "__main__":
    serve()
