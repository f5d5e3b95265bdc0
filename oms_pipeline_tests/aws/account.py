"""An AWS account: moto's server in a process of its own, over TLS and in the clear. Its policies can be put in force."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server, make_ssl_devcert

from oms_pipeline_tests.aws import moto_fixes

REGION = "eu-central-1"


def main(folder: Path) -> None:
    """Serves until its input ends. Prints both addresses; the certificate is `server.crt` in the folder."""
    moto_fixes.apply()
    certificate = make_ssl_devcert(str(folder / "server"), host="localhost")
    account = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        environ["HTTP_X_FORWARDED_PROTO"] = environ["wsgi.url_scheme"]
        return account(environ, start_response)

    secure = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=certificate)
    clear = make_server("127.0.0.1", 0, application, threaded=True)
    for server in (secure, clear):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps([f"https://localhost:{secure.port}", f"http://localhost:{clear.port}"]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
