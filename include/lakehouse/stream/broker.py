"""What a Kafka broker says of a topic: which one it is, and which offsets it holds. Reads no record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lakehouse.connections import Connection, ConnectionMalformed, ConnectionRefused
from lakehouse.errors import LakehouseError

#: Seconds within which a broker has to answer.
TIMEOUT = 20.0

#: librdkafka's name of an option -> the Java client's, which Spark uses. Others are refused: they would be dropped.
JAVA = {
    "bootstrap.servers": "bootstrap.servers",
    "security.protocol": "security.protocol",
    "sasl.mechanism": "sasl.mechanism",
    "sasl.mechanisms": "sasl.mechanism",
    "ssl.ca.location": "ssl.truststore.location",
}
_LOGIN = ("sasl.username", "sasl.password")
#: Module of the Java client that takes a user and a password, by mechanism.
_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


class BrokerUnavailable(LakehouseError):
    """No broker answers at the connection's address."""


class TopicMissing(LakehouseError):
    """The broker has no such topic."""


@dataclass(frozen=True)
class Topic:
    """A topic as the broker has it now."""

    name: str
    #: Its UUID: one that was deleted and made again has another.
    id: str
    #: Partition -> (first offset that is kept, offset that the next record gets).
    offsets: Mapping[int, tuple[int, int]]


class Broker:
    """A client of the brokers behind one connection. It connects when first asked."""

    def __init__(self, conn: Connection) -> None:
        """`conn`: librdkafka's options as extra; or host and port. Raises ConnectionMalformed."""
        options = {str(name): str(value) for name, value in conn.extra.items()}
        if "bootstrap.servers" not in options and conn.host:
            options["bootstrap.servers"] = f"{conn.host}:{conn.port or 9092}"
        if conn.login:
            options |= {"sasl.username": conn.login, "sasl.password": conn.password or ""}
        unknown = sorted(options.keys() - {*JAVA, *_LOGIN})
        if unknown or "bootstrap.servers" not in options:
            told = f"has the option {unknown[0]}, which Spark would not be told" if unknown else "names no broker"
            raise ConnectionMalformed(
                f"Connection '{conn.conn_id}' {told}.", f"Its extra may say: {', '.join([*JAVA, *_LOGIN])}."
            )
        self.conn_id = conn.conn_id
        self._options = options
        self._client: Any = None
        #: Codes of errors that the client told of beside its answers.
        self._errors: set[int] = set()

    def topic(self, name: str) -> Topic:
        """The topic `name`. Raises TopicMissing, BrokerUnavailable, ConnectionRefused."""
        from confluent_kafka import TopicCollection, TopicPartition
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

        with self._told(name):
            admin = self._admin()
            self._errors.clear()
            about = admin.describe_topics(TopicCollection([name]), request_timeout=TIMEOUT)[name].result()
            numbers = [partition.id for partition in about.partitions]
            ends: list[dict[int, int]] = []
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):  # type: ignore[no-untyped-call]
                asked = admin.list_offsets({TopicPartition(name, n): spec for n in numbers}, request_timeout=TIMEOUT)
                ends.append({place.partition: future.result().offset for place, future in asked.items()})
            if not str(about.topic_id).strip("A="):
                raise BrokerUnavailable(
                    f"The broker behind connection '{self.conn_id}' gives topic '{name}' no id.",
                    "It is older than Kafka 2.8, and a topic made anew could not be told from the old one: update it.",
                )
            return Topic(name, str(about.topic_id), {n: (ends[0][n], ends[1][n]) for n in numbers})

    def for_spark(self) -> dict[str, str]:
        """The connection as options of Spark's Kafka source. They may hold a password: never log them."""
        told = {f"kafka.{JAVA[name]}": value for name, value in self._options.items() if name in JAVA}
        if "kafka.ssl.truststore.location" in told:
            told["kafka.ssl.truststore.type"] = "PEM"
        if "sasl.username" in self._options:
            # Java's own default is Kerberos.
            module = _MODULES.get(told.setdefault("kafka.sasl.mechanism", "PLAIN"))
            if module is None:
                raise ConnectionMalformed(
                    f"Connection '{self.conn_id}' has an unknown sasl.mechanism.", f"Use one of {', '.join(_MODULES)}."
                )
            user, password = (_quoted(self._options.get(name, "")) for name in _LOGIN)
            told["kafka.sasl.jaas.config"] = f"{module} required username={user} password={password};"
        return told

    def close(self) -> None:
        """Forget the client."""
        self._client = None

    def _admin(self) -> Any:
        if self._client is None:
            from confluent_kafka.admin import AdminClient

            # Without a callback of ours they go to stderr; a refused login comes in no other way.
            quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda error: self._errors.add(error.code())}
            self._client = AdminClient({**self._options, **quiet})
        return self._client

    @contextmanager
    def _told(self, topic: str) -> Iterator[None]:
        """The client's errors as ours."""
        from confluent_kafka import KafkaError, KafkaException

        try:
            yield
        except KafkaException as error:
            code, name = error.args[0].code(), error.args[0].name()
            if code == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise TopicMissing(
                    f"The broker behind connection '{self.conn_id}' has no topic '{topic}'.",
                    "Have it made, or mend source.object in the contract, then clear the task.",
                ) from None
            if code == KafkaError._INVALID_ARG:
                named = re.search(r'property "([\w.]+)"', error.args[0].str() or "")
                raise ConnectionMalformed(
                    f"Connection '{self.conn_id}' has options that Kafka's client does not take"
                    f"{f' (see {named[1]})' if named else ''}.",
                    "Mend security.protocol, sasl.mechanism and ssl.ca.location in its extra, then clear the task.",
                ) from None
            refusals = {KafkaError._AUTHENTICATION, KafkaError.TOPIC_AUTHORIZATION_FAILED}
            if {code, *self._errors} & refusals:
                raise ConnectionRefused(
                    f"The broker behind connection '{self.conn_id}' refused us ({name}).",
                    "Set its login, password and security.protocol right, or have the topic granted to it.",
                ) from None
            raise BrokerUnavailable(
                f"No broker behind connection '{self.conn_id}' answers ({name}).",
                "See that it runs and the connection's bootstrap.servers lead to it, then clear the task; nothing is "
                "lost meanwhile but what the topic's own retention deletes. See runbooks/streaming_restart.md.",
            ) from None


def _quoted(text: str) -> str:
    """A string of Java's login configuration."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
