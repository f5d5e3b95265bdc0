"""Whether a part of the pipeline does its work; exits with 1 if not. For the containers' health checks.

python deploy/docker/healthy.py code|web|daemon

A health check runs every few seconds for ever, so it imports next to nothing.
"""

import os
import sys
import time
import urllib.request
from pathlib import Path

ANSWERS_WITHIN_SECONDS = 5
# The alert sensor touches the file on every tick, each half minute.
HEARTBEAT_SECONDS = 180


def code() -> bool:
    """The code server says that it serves."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel("127.0.0.1:4000") as channel:
        request = health_pb2.HealthCheckRequest(service="DagsterApi")
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=ANSWERS_WITHIN_SECONDS)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def web() -> bool:
    """The web server answers."""
    with urllib.request.urlopen("http://127.0.0.1:3000/server_info", timeout=ANSWERS_WITHIN_SECONDS) as answer:
        return bool(answer.status == 200)


def daemon() -> bool:
    """The daemon has sensors evaluated, which takes the code server and Dagster's database too."""
    return time.time() - (Path(os.environ["OMS_HOME"]) / "heartbeat").stat().st_mtime < HEARTBEAT_SECONDS


if __name__ == "__main__":
    try:
        sys.exit(0 if {"code": code, "web": web, "daemon": daemon}[sys.argv[1]]() else 1)
    except Exception as error:  # whatever it is, it is not healthy
        sys.exit(f"{sys.argv[1]} is not healthy: {error}")
