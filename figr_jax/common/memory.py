"""Memory of devices, and memory limits of containers and batch jobs."""

import os
import pathlib


def of_device(device):
    """Returns the bytes of a device's memory; for the CPU, this process's limit."""
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if limit is not None:
        return limit
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([total, *cgroup_limits()])


def cgroup_limits(process="/proc/self/cgroup", root="/sys/fs/cgroup"):
    """Finds the memory limits of this process's control groups (versions 1 and 2).

    Docker, Kubernetes and Slurm set them.

    Args:
      process: file that lists the groups.
      root: folder that the groups are mounted in.

    Returns:
      A list of limits in bytes, empty if there is none.
    """
    limits = []
    for line in _read(process).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        top = pathlib.Path(root, controllers)
        group = top / path.strip("/")
        # A container may see its group as the root; a parent may set a job's limit.
        for folder in [top, *(x for x in (group, *group.parents) if top in x.parents)]:
            text = _read(folder / name).strip()
            if text.isdigit():
                limits.append(int(text))
    return limits


def _read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""
