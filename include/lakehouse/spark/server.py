"""The command line of a local Spark Connect server: argv and environment, for a process supervisor to start.

Not for starting, watching or ending it. End the whole process group: nothing of it detaches itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lakehouse import aws
from lakehouse.spark.classes import shared_classes
from lakehouse.spark.jars import resolve_jars, spark_environment, spark_home
from lakehouse.spark.session import MEANING
from lakehouse.spark.skew import SKEW

#: The server's main class; it ships with pyspark.
MAIN_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"

#: Few cores and small data: the defaults (200, 50, 32) spend their time on scheduling.
#: VACUUM took 37-124 s with them, 4-6 s with these. A file as a core writes it is read by one, not by one and a rest.
#: A cluster keeps the defaults.
FEW_CORES: dict[str, str] = {
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    "spark.sql.files.maxPartitionBytes": "256m",
}

#: What every session of the server starts with.
SESSION_CONF: dict[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    **MEANING,
    # The default, INT96, cannot tell a time after 2262 to readers that count nanoseconds; valid_to is in 9999.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Nobody here reads how large Parquet's pages are, and counting it is a tenth of a write.
    "spark.hadoop.parquet.size.statistics.enabled": "false",
    # The branch's schema comes from the contract; a stray column must not slip in with a write.
    "spark.databricks.delta.schema.autoMerge.enabled": "false",
    # A branch lives for one batch: nobody would read its checksum, and the first one costs a job over the whole log.
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
    **FEW_CORES,
    **SKEW,
    # The options of a stream may hold a login.
    "spark.sql.redaction.string.regex": r"(?i)password=[^;]*;",
    # No Hive: tables are addressed by path.
    "spark.sql.catalogImplementation": "in-memory",
}

#: A server for small data, such as the sandbox and the tests have: Java that is generated and compiled for every query
#: costs more there than it saves.
SMALL_DATA_CONF: dict[str, str] = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
#: A large young generation and metaspace spare the full collections that a growing heap would start with. Both JIT
#: tiers: with the first alone the demonstration's days took 208, 183 and 167 s, with both 225, 165 and 135 s. The
#: second without what makes tight loops faster, which small data has none of: it took a third of all CPU of the first
#: two days (133 of 425 s), and takes 93 of 368 s so; only for what is called four times as often as by default it
#: takes 52 of 314 s. Other releases of Java may lack some of these options.
SMALL_DATA_JAVA = (
    "-XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC -Xmn1g -XX:MetaspaceSize=512m "
    "-XX:+IgnoreUnrecognizedVMOptions -XX:+UnlockDiagnosticVMOptions -XX:-DoEscapeAnalysis -XX:LoopUnrollLimit=0 "
    "-XX:-UseSuperWord -XX:-UseLoopPredicate -XX:-PartialPeelLoop -XX:MaxInlineLevel=9 -XX:InlineSmallCode=1500 "
    "-XX:Tier4InvocationThreshold=20000 -XX:Tier4MinInvocationThreshold=2400 -XX:Tier4CompileThreshold=60000 "
    "-XX:Tier4BackEdgeThreshold=160000"
)

#: Where data are large, pages of Parquet are humongous to G1 with the small regions of a heap that is yet to grow. It
#: marked the whole heap every other second, a tenth of two cores, and gave memory back only to ask for it again.
LARGE_DATA_JAVA = "-Xms{memory} -XX:G1HeapRegionSize=16m"

LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{yyyy-MM-dd HH:mm:ss.SSS} %p %c{1}: %m%n%ex
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
"""


def connect_command(
    port: int,
    token: str,
    work: Path,
    *,
    master: str = "local[*]",
    driver_memory: str = "3g",
    ui_port: int | None = None,
    small_data: bool = False,
    conf: dict[str, str] | None = None,
    access: aws.Access | None = None,
    java: str = "",
) -> tuple[list[str], dict[str, str]]:
    """How to start a Connect server on 127.0.0.1:`port`: its argv, and its whole environment.

    The server's configuration, logging, scratch and warehouse live under `work`, which is made here. The token
    travels in the environment, never in argv or a file. `ui_port` turns the web UI on, on loopback. `small_data`
    trades throughput for quick starts. `conf` adds or replaces settings. `access` (default: this process's) is how
    S3 is reached; its secrets travel in the environment too. `java`: more options of Java, in place of the archive of
    classes (see `classes`). Raises JavaMissing or JarsMissing.
    """
    known, local = access or aws.access(), master.startswith("local")
    folders = {name: work.resolve() / name for name in ("conf", "local", "warehouse", "tmp")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    memory = (conf or {}).get("spark.driver.memory", driver_memory)
    options = [
        SMALL_DATA_JAVA if small_data else LARGE_DATA_JAVA.format(memory=memory),
        f'-Djava.io.tmpdir="{folders["tmp"]}"',
        f'-Dlog4j2.configurationFile="{folders["conf"] / "log4j2.properties"}"',
        java or (shared_classes() if local else ""),
    ]
    settings = {
        **SESSION_CONF,
        "spark.master": master,
        "spark.app.name": "lakehouse",
        "spark.driver.memory": memory,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": " ".join(options),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false" if ui_port is None else "true",
        "spark.ui.port": str(ui_port or 0),
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(folders["local"]),
        "spark.sql.warehouse.dir": folders["warehouse"].as_uri(),
        **_jars(local),
        **s3a_conf(known),
        **(SMALL_DATA_CONF if small_data else {}),
        **(conf or {}),
    }
    # A file of our own: neither a spark-defaults.conf of this machine nor a long argv decides how we run.
    properties = folders["conf"] / "spark.properties"
    lines = [f"{key} {_escaped(value)}\n" for key, value in sorted(settings.items())]
    properties.write_text("".join(lines), encoding="utf-8")
    (folders["conf"] / "log4j2.properties").write_text(LOG4J, encoding="utf-8")
    # What a developer's shell says about some other Spark is not for this one.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    environment = {
        **inherited,
        **known.environment(),
        **spark_environment(),
        # Spark puts it on the class path, where an archive of classes bears no folder: there is none of that name.
        "SPARK_CONF_DIR": str(work.resolve() / "no-conf"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": token,
        # Python functions run in this environment, whatever `python3` on PATH is.
        "PYSPARK_PYTHON": sys.executable,
    }
    submit = [str(spark_home() / "bin" / "spark-submit"), "--properties-file", str(properties)]
    return [*submit, "--class", MAIN_CLASS, "spark-internal"], environment


def _jars(local: bool) -> dict[str, str]:
    """How a server comes by its jars: from its class path, or, where others work for it, by handing them out."""
    if local:
        return {"spark.driver.extraClassPath": ":".join(map(str, resolve_jars()))}
    return {"spark.jars": ",".join(jar.as_uri() for jar in resolve_jars())}


def s3a_conf(access: aws.Access) -> dict[str, str]:
    """What Hadoop's S3A needs to know and is no secret: keys it reads from the environment, or asks the machine."""
    conf = {"fs.s3a.endpoint.region": access.region, "fs.s3a.endpoint": access.endpoint}
    if access.endpoint:
        conf["fs.s3a.path.style.access"] = "true"
        conf["fs.s3a.connection.ssl.enabled"] = str(access.endpoint.startswith("https://")).lower()
    return {f"spark.hadoop.{name}": value for name, value in conf.items() if value}


def _escaped(value: str) -> str:
    """A value as Java's properties files write it."""
    return value.replace("\\", "\\\\")
