"""A session of whatever Spark is installed: Sail, which needs no Java, or Spark itself with two executors."""

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from fractalrs.expansion import Expansion
from helpers.folders import small_expansion


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    pytest.importorskip("pyspark", reason="no Spark is installed")
    if find_spec("pysail") is not None:
        yield from _sail()
    elif shutil.which("java") is not None:
        yield from _two_executors()
    else:
        pytest.skip("Spark needs Java")


def _sail() -> Iterator[Any]:
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer(ip="127.0.0.1", port=0)
    server.start(background=True)
    _, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
    yield session
    session.stop()
    server.stop()


def _two_executors() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.executorEnv.PYTHONPATH": os.pathsep.join(sys.path),
        "spark.sql.shuffle.partitions": "2",
    }
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def expansion() -> Expansion:
    return small_expansion()


@pytest.fixture(scope="session")
def saved(expansion: Expansion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `expansion` is saved."""
    path = tmp_path_factory.mktemp("saved") / "expansion"
    expansion.save(path)
    return path
