"""The studio: a page where four drawings become a hundred.

python -m figr_jax.studio --checkpoint=runs/quickstart
"""

import secrets
import signal

from absl import flags

from figr_jax import errors

_CHECKPOINT = flags.DEFINE_list(
    "checkpoint", [], "Runs or shipped weights; by default runs/* and all shipped ones."
)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on.")
_PORT = flags.DEFINE_integer(
    "port", 8000, "Port to listen on.", lower_bound=1, upper_bound=65535
)
_TOKEN = flags.DEFINE_string(
    "token", None, "What a visitor must know; drawn if others than this machine listen."
)
_ALLOW_HOST = flags.DEFINE_list(
    "allow_host", [], "Further names under which the server is reached."
)


def main(argv):
    """Finds models, prepares the first one, serves."""
    if argv:
        raise errors.BadInput(f"unexpected argument {argv[0]!r}")
    try:
        import uvicorn

        from figr_jax.studio import guard, models, server
    except ImportError as error:
        raise errors.BadInput(
            f"the studio needs {error.name}: pip install -e '.[studio]'"
        ) from error
    from figr_jax import compilation

    compilation.keep_programs()
    shelf = models.Shelf(models.find(_CHECKPOINT.value))
    print(f"compiling {shelf.names[0]} (under a minute on two CPU cores)", flush=True)
    shelf.get(shelf.names[0]).warm_up()
    host, token, is_local = _HOST.value, _TOKEN.value, _HOST.value in guard.LOCAL
    if not is_local and not token:
        token = secrets.token_urlsafe(16)
    app = server.make_app(shelf, [*guard.LOCAL, host, *_ALLOW_HOST.value], token)
    query = f"/?token={token}" if token else ""
    print(f"open http://{host}:{_PORT.value}{query} (Ctrl-C ends it)", flush=True)
    # Else what it has been asked to stop by would be raised again, and end in an error.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    uvicorn.run(app, host=host, port=_PORT.value, log_level="warning")


if __name__ == "__main__":
    errors.run(main)
