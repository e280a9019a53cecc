"""The studio: a page where four drawings become a hundred.

python -m figr_jax.studio --checkpoint=runs/quickstart
"""

import os
import secrets
import signal
import socket

from absl import flags

from figr_jax import command, errors

FLAGS = flags.FLAGS


def define_flags():
    """Defines the flags of this command; importing it defines none."""
    flags.DEFINE_list(
        "checkpoint",
        [],
        "Runs or shipped weights; by default runs/* and all shipped ones.",
    )
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on.")
    flags.DEFINE_integer(
        "port", 8000, "Port to listen on.", lower_bound=1, upper_bound=65535
    )
    flags.DEFINE_string(
        "token",
        None,
        "What a visitor must know; drawn if others than this machine listen.",
    )
    flags.DEFINE_list(
        "allow_host", [], "Further names under which the server is reached."
    )


def main():
    """Finds models, prepares the first one, serves."""
    try:
        import uvicorn

        from figr_jax.studio import guard, models, server
    except ImportError as error:
        raise errors.BadInput(
            f"the studio needs {error.name}: pip install -e '.[studio]'"
        ) from error
    from figr_jax import compilation

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
    # Who waits for a job would else keep the server from its end.
    options = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    service = uvicorn.Server(options)
    # It listens to signals itself, but only while it serves: what comes before must not
    # be lost, and what it raises again at its end must not end in an error.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, service.handle_exit)
    print(f"open http://{name}:{port}{query} (Ctrl-C ends it)", flush=True)
    service.run([listener])


def _listen(host, port):
    """A socket that listens, before a minute is spent on what would then fail."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise errors.BadInput(
            f"--host={host} --port={port}: {error.strerror}; give another one"
        ) from error


if __name__ == "__main__":
    define_flags()
    command.run(main)
