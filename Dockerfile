# One image for every process of the platform: Airflow's four, the Spark Connect server, the command line.
# packages.txt and requirements.txt are read here and by the Astro CLI alike.
FROM apache/airflow:3.3.2-python3.11

USER root
COPY packages.txt /tmp/packages.txt
RUN apt-get update \
    && xargs --no-run-if-empty --arg-file=/tmp/packages.txt apt-get install --yes --no-install-recommends \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /tmp/packages.txt \
    # A named volume takes over owner and mode of the folder it is first mounted on.
    && install --directory --owner=airflow --group=root --mode=0775 \
        /opt/lakehouse /opt/lakehouse/app /opt/lakehouse/cache /opt/lakehouse/home /opt/lakehouse/snowflake

USER airflow
WORKDIR /opt/lakehouse/app

# --no-deps: the lock is complete, and resolving again would add what overrides.txt leaves out.
COPY --chown=airflow:0 requirements.txt ./
RUN pip install --no-cache-dir --no-deps -r requirements.txt

ENV LAKEHOUSE_HOME=/opt/lakehouse/home \
    LAKEHOUSE_CACHE=/opt/lakehouse/cache \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/lakehouse/app/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/lakehouse/app/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False

COPY --chown=airflow:0 pyproject.toml airflow_settings.yaml ./
COPY --chown=airflow:0 include ./include
COPY --chown=airflow:0 plugins ./plugins
COPY --chown=airflow:0 dags ./dags

# --editable: the library finds include/config and include/tables beside itself.
# Jars are resolved here, so that a container starts without network; a wrong contract stops the build.
RUN pip install --no-cache-dir --no-deps --editable . \
    && lakehouse setup \
    && lakehouse contracts lint
