"""The studio: a web page that generates images from a few drawings.

python -m figr_jax.studio --checkpoint=runs/quickstart
"""

import os
import secrets
import signal
import socket

from absl import flags

from figr_jax.common import command, errors

FLAGS = flags.FLAGS


def define_flags():
    """Defines the flags of this command; importing it defines none."""
    flags.DEFINE_list(
        "checkpoint",
        [],
        "Runs or shipped weights; the default is runs/* and all shipped weights.",
    )
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on.")
    flags.DEFINE_integer(
        "port", 8000, "Port to listen on.", lower_bound=1, upper_bound=65535
    )
    flags.DEFINE_string(
        "token",
        None,
        "Token that requests must carry; by default random, none on a local host.",
    )
    flags.DEFINE_list("allow_host", [], "Additional host names of the server.")


def main():
    """Finds the models, compiles the first one, starts the server."""
    try:
        import uvicorn

        from figr_jax.studio import guard, models, server
    except ImportError as error:
        raise errors.BadInput(
            f"the studio needs {error.name}: pip install -e '.[studio]'"
        ) from error
    from figr_jax.common import compilation

    compilation.keep_programs()
    host, port, token = FLAGS.host, FLAGS.port, FLAGS.token
    listener = _listen(host, port)
    shelf = models.Shelf(models.find([os.path.expanduser(x) for x in FLAGS.checkpoint]))
    model = shelf.get(shelf.names[0])
    print(f"compiling {model.name} (under a minute on two CPU cores)", flush=True)
    model.warm_up()
    if not guard.is_local(host) and not token:
        token = secrets.token_urlsafe(16)
    is_any = host in ("", "0.0.0.0", "::")
    names = guard.own_names() if is_any else [host]
    app = server.make_app(shelf, [*guard.LOCAL, *names, *FLAGS.allow_host], token)
    name = f"[{names[0]}]" if ":" in names[0] else names[0]
    query = f"/?token={token}" if token else ""
    # An open event stream must not delay the shutdown.
    options = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    service = uvicorn.Server(options)
    # uvicorn handles signals only while it serves. These handlers keep earlier signals,
    # and absorb the signal that uvicorn raises again on shutdown.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, service.handle_exit)
    print(f"open http://{name}:{port}{query} (Ctrl-C stops it)", flush=True)
    service.run([listener])


def _listen(host, port):
    """Opens the socket first, so that a port in use fails before compilation."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise errors.BadInput(
            f"--host={host} --port={port}: {error.strerror}; give another host or port"
        ) from error


if __name__ == "__main__":
    define_flags()
    command.run(main)
