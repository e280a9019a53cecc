"""The original files of a data set: from the manual directory, or downloaded."""

import pathlib

from figr_jax.common.errors import BadInput


def find(urls, manual_dir, dl_manager):
    """Finds or downloads the original files.

    The checksum of a downloaded file is verified. That of a file in the manual
    directory is not, since archives are repacked; its reader checks the content.

    Args:
      urls: dict of file name to address.
      manual_dir: where the user put the files; None to download them.
      dl_manager: `tfds.download.DownloadManager`.

    Returns:
      List of `pathlib.Path`, in the order of `urls`.

    Raises:
      BadInput: if a file is not in the manual directory, or cannot be downloaded.
    """
    if manual_dir:
        paths = [pathlib.Path(manual_dir, name) for name in urls]
        for path, url in zip(paths, urls.values(), strict=True):
            if not path.is_file():
                raise BadInput(
                    f"{path}: no such file; --manual_dir is the folder that holds "
                    f"{' and '.join(urls)}, packed as downloaded from {url}"
                )
        return paths
    print(
        f"downloading {', '.join(urls)} (offline: give --manual_dir to "
        "python -m figr_jax.prepare)",
        flush=True,
    )
    try:
        return [pathlib.Path(dl_manager.download(url)) for url in urls.values()]
    except Exception as error:  # any error of the network
        raise BadInput(
            f"{' and '.join(urls)}: cannot be downloaded from "
            f"{' and '.join(urls.values())} ({' '.join(str(error).split())}); put the "
            "original into a folder and give it as --manual_dir"
        ) from error
